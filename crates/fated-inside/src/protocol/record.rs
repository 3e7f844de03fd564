//! The encoding of the log of calls.

use fated_kernel::arch::Call;
use fated_kernel::errno::Errno;
use fated_kernel::id::{Pid, Tid};
use fated_kernel::record::{Ended, Record, What};

use super::bytes::{Reader, Writer};

/// Encodes a line of the log.
pub fn write(record: &Record, to: &mut Writer) {
    to.number(record.time_ns);
    to.number(u64::from(record.pid.get()));
    to.number(u64::from(record.tid.get()));
    match &record.what {
        What::Call { call, args, ended } => {
            let (kind, value) = match ended {
                Ended::Value(value) => (0, *value),
                Ended::Failed(errno) => (1, errno_number(*errno)),
                Ended::Away => (2, 0),
            };
            for value in [0, call.number].into_iter().chain(call.args).chain([kind, value]) {
                to.number(value);
            }
            to.list(args, |to, arg| to.bytes(arg.as_bytes()));
        }
        What::Signal { signal, code } => [1, *signal as u64, *code as u64].into_iter().for_each(|it| to.number(it)),
        What::Exit { status } => [2, *status as u64].into_iter().for_each(|it| to.number(it)),
    }
}

fn errno_number(errno: Errno) -> u64 {
    errno.number() as u64
}

/// Decodes a line of the log; `None` at the end.
pub fn read(from: &mut Reader<'_>) -> Option<Record> {
    if from.0.is_empty() {
        return None;
    }
    let time_ns = from.number();
    let pid = Pid::new(from.number() as u32)?;
    let tid = Tid::new(from.number() as u32)?;
    let what = match from.number() {
        0 => {
            let call = Call { number: from.number(), args: core::array::from_fn(|_| from.number()) };
            let (kind, value) = (from.number(), from.number());
            let args = from.list(Reader::text);
            let ended = match kind {
                0 => Ended::Value(value),
                1 => Ended::Failed(Errno::from_number(value as i32)),
                _ => Ended::Away,
            };
            What::Call { call, args, ended }
        }
        1 => What::Signal { signal: from.number() as i32, code: from.number() as i32 },
        _ => What::Exit { status: from.number() as i32 },
    };
    Some(Record { time_ns, pid, tid, what })
}
