//! A guest without a real process: a list of calls over a small memory. The kernel's log tells what each
//! of them returned.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt::Write as _;

use fated_kernel::arch::{Call, Regs};
use fated_kernel::errno::Errno;
use fated_kernel::fs::dirent::Listing;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::id::Tid;
use fated_kernel::ports::{Console, Cpu, HostFiles, Memory, RealTask, Spawn, Trace};
use fated_kernel::process::exec::plan::{Exec, ExecError, ProgramFile};
use fated_kernel::record::{Record, What};
use fated_kernel::syscall::table;

/// What the guest does, as `(number, arguments)`; the child of a fork does what comes after it says.
pub type Script = &'static [(u64, [u64; 6])];

/// All guests of a run, to be found by the task that the kernel names.
pub type Guests = Rc<RefCell<Vec<(Tid, Rc<Scripted>)>>>;

#[derive(Debug)]
pub struct Scripted {
    calls: RefCell<VecDeque<(u64, [u64; 6])>>,
    child: Script,
    memory: RefCell<Vec<u8>>,
    regs: Cell<Regs>,
    all: Guests,
}

impl Scripted {
    pub fn new(script: Script, child: Script, memory: Vec<u8>, all: &Guests) -> Rc<Self> {
        let calls = RefCell::new(script.iter().copied().collect());
        Rc::new(Self { calls, child, memory: RefCell::new(memory), regs: Cell::default(), all: all.clone() })
    }

    /// Runs to the next call.
    pub fn run(&self) -> Call {
        let (number, args) = self.calls.borrow_mut().pop_front().unwrap_or((231, [99, 0, 0, 0, 0, 0]));
        self.regs.set(Regs { orig_rax: number, ..self.regs.get() });
        Call { number, args }
    }

    /// Eight bytes of its memory.
    pub fn read_word(&self, addr: u64) -> u64 {
        let mut word = [0; 8];
        self.read(addr, &mut word);
        u64::from_le_bytes(word)
    }
}

impl Memory for Scripted {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        let memory = self.memory.borrow();
        let from = memory.get(addr as usize..).unwrap_or_default();
        let len = from.len().min(buf.len());
        buf[..len].copy_from_slice(&from[..len]);
        len
    }

    fn write(&self, addr: u64, data: &[u8]) -> usize {
        let mut memory = self.memory.borrow_mut();
        let to = memory.get_mut(addr as usize..).unwrap_or_default();
        let len = to.len().min(data.len());
        to[..len].copy_from_slice(&data[..len]);
        len
    }
}

impl Cpu for Scripted {
    fn regs(&self) -> Regs {
        self.regs.get()
    }

    fn set_regs(&self, regs: &Regs) {
        self.regs.set(*regs);
    }

    fn xstate(&self) -> Vec<u8> {
        Vec::new()
    }

    fn set_xstate(&self, _: &[u8]) -> Result<(), Errno> {
        Ok(())
    }

    fn cpuid(&self, _leaf: u32, _sub: u32) -> [u32; 4] {
        [0; 4]
    }
}

impl HostFiles for Scripted {
    fn stat(&self, _: i32, _: &[u8], _: u32) -> Result<FileStat, Errno> {
        Err(Errno::ENOENT)
    }

    fn list(&self, _: i32, _: bool) -> Result<Listing, Errno> {
        Err(Errno::ENOENT)
    }

    fn read_link(&self, _: i32, _: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOENT)
    }

    fn open_program(&self, _: i32, _: &[u8], _: u32) -> Result<Option<Rc<dyn ProgramFile>>, Errno> {
        Err(Errno::ENOENT)
    }
    fn proc_file(&self, _: &str) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOENT)
    }

    fn proc_link(&self, _: &str) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOENT)
    }
}

impl RealTask for Scripted {
    fn native(&self, _: Call) -> i64 {
        -i64::from(Errno::ENOSYS.number())
    }

    fn pass(&self, call: Call) -> Option<i64> {
        Some(self.native(call))
    }

    fn spawn(&self, spawn: &Spawn) -> Result<Rc<dyn RealTask>, Errno> {
        let guest = Scripted::new(self.child, &[], self.memory.borrow().clone(), &self.all);
        self.all.borrow_mut().push((spawn.tid, guest.clone()));
        Ok(guest)
    }

    fn exec(&self, _: Exec) -> Result<(), ExecError> {
        Err(ExecError::Refused(Errno::ENOENT))
    }

    fn exit(&self) {}

    fn exit_group(&self) {}
}

/// Keeps what guests write and what the kernel tells.
#[derive(Debug, Default)]
pub struct Transcript(pub RefCell<String>);

impl Console for Transcript {
    fn read(&self, _: i32, _: &mut [u8]) -> Result<usize, Errno> {
        Ok(0)
    }

    fn write(&self, _: i32, data: &[u8]) -> Result<usize, Errno> {
        self.0.borrow_mut().push_str(&String::from_utf8_lossy(data));
        Ok(data.len())
    }

    fn poll(&self, _: i32, _: u64) -> u32 {
        0
    }

    fn stat(&self, _: i32) -> Result<FileStat, Errno> {
        const FIFO: u32 = 0o010_600;
        Ok(FileStat { mode: FIFO, nlink: 1, ..FileStat::default() })
    }

    fn ioctl(&self, _: i32, _: u32, _: &mut [u8]) -> Result<i64, Errno> {
        Err(Errno::ENOTTY)
    }
}

impl Trace for Transcript {
    fn record(&self, record: &Record) {
        let mut text = self.0.borrow_mut();
        let _ = match &record.what {
            What::Call { call, args, ended } => {
                let name = table::call(call.number).map_or("unknown", |info| info.name);
                writeln!(text, "{} {name}({}) = {ended:?}", record.tid, args.join(", "))
            }
            event => writeln!(text, "{} {event:?}", record.tid),
        };
    }

    fn notice(&self, line: String) {
        let _ = writeln!(self.0.borrow_mut(), "{line}");
    }
}
