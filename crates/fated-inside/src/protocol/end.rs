//! How a run ended, and the kernel's counters.

use alloc::string::String;
use alloc::vec::Vec;

use fated_kernel::errno::Errno;
use fated_kernel::id::Tid;
use fated_kernel::process::exec::planner::{NotStarted, Refusal};
use fated_kernel::stats::Counters;

use super::bytes::{Reader, Writer};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// See [`fated_kernel::host::Ending`].
    Exited(i32),
    /// See [`fated_kernel::host::Ending`].
    Deadlock(Vec<String>),
    /// See [`fated_kernel::host::Ending`].
    Broken(String),
    /// The program could not be started.
    NoProgram(NotStarted),
    /// The directory to start in could not be entered.
    NoDirectory(Errno),
    /// An earlier step failed.
    NoStart(String, Errno),
    /// See [`fated_kernel::host::Ending`].
    LeftJournal(String),
    /// The supervisor asked for the end: id and program of the task that ran last, and its address.
    GivenUp(Option<Tid>, String, u64),
}

impl End {
    /// As bytes.
    pub fn write(&self, to: &mut Writer) {
        match self {
            End::Exited(status) => {
                to.number(0);
                to.number(*status as u64);
            }
            End::Deadlock(tasks) => {
                to.number(1);
                to.list(tasks, |to, task| to.bytes(task.as_bytes()));
            }
            End::Broken(why) => {
                to.number(2);
                to.bytes(why.as_bytes());
            }
            End::NoProgram(why) => {
                let (kind, errno) = match why {
                    NotStarted::Refused(Refusal::Linux(errno)) => (0, errno.number()),
                    NotStarted::Refused(Refusal::Foreign) => (1, 0),
                    NotStarted::Refused(Refusal::Unreadable) => (2, 0),
                    NotStarted::Lost => (3, 0),
                };
                to.number(3);
                to.number(kind);
                to.number(errno as u64);
            }
            End::NoStart(step, errno) => {
                to.number(4);
                to.bytes(step.as_bytes());
                to.number(errno.number() as u64);
            }
            End::NoDirectory(errno) => {
                to.number(5);
                to.number(errno.number() as u64);
            }
            End::GivenUp(tid, program, address) => {
                to.number(6);
                to.number(tid.map_or(0, |tid| u64::from(tid.get())));
                to.bytes(program.as_bytes());
                to.number(*address);
            }
            End::LeftJournal(why) => {
                to.number(7);
                to.bytes(why.as_bytes());
            }
        }
    }

    /// From bytes.
    pub fn read(from: &mut Reader<'_>) -> End {
        match from.number() {
            0 => End::Exited(from.number() as i32),
            1 => End::Deadlock(from.list(Reader::text)),
            2 => End::Broken(from.text()),
            3 => {
                let (kind, errno) = (from.number(), Errno::from_number(from.number() as i32));
                End::NoProgram(match kind {
                    0 => NotStarted::Refused(Refusal::Linux(errno)),
                    1 => NotStarted::Refused(Refusal::Foreign),
                    2 => NotStarted::Refused(Refusal::Unreadable),
                    _ => NotStarted::Lost,
                })
            }
            4 => {
                let step = from.text();
                End::NoStart(step, Errno::from_number(from.number() as i32))
            }
            5 => End::NoDirectory(Errno::from_number(from.number() as i32)),
            7 => End::LeftJournal(from.text()),
            _ => {
                let tid = Tid::new(from.number() as u32);
                let program = from.text();
                End::GivenUp(tid, program, from.number())
            }
        }
    }
}

/// Encodes the kernel's counters.
pub fn write_counters(counters: &Counters, to: &mut Writer) {
    for list in [&counters.calls, &counters.refused] {
        to.list(list, |to, &(number, count)| {
            to.number(number);
            to.number(count);
        });
    }
    for value in [counters.natives, counters.tasks, counters.programs, counters.stdin, counters.virtual_ns] {
        to.number(value);
    }
}

/// Decodes what [`write_counters`] wrote.
pub fn read_counters(from: &mut Reader<'_>) -> Counters {
    let mut list = || from.list(|from| (from.number(), from.number()));
    let (calls, refused) = (list(), list());
    let [natives, tasks, programs, stdin, virtual_ns] = core::array::from_fn(|_| from.number());
    Counters { calls, refused, natives, tasks, programs, stdin, virtual_ns }
}
