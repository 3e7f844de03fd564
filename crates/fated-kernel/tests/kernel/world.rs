//! A world without any real process: guests are memory and registers, and the test says what they call.

use crate::tree;
use fated_kernel::arch::{Call, Regs};
use fated_kernel::config::{Config, Input, Policy};
use fated_kernel::errno::Errno;
use fated_kernel::fs::dirent::Listing;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::host::{Boot, Ending, Kernel, Next};
use fated_kernel::id::Tid;
use fated_kernel::ports::{Console, Cpu, HostFiles, Memory, RealTask, Spawn, Stop, Trace};
use fated_kernel::process::exec::plan::{Exec, ExecError, ProgramFile};
use fated_kernel::process::limits::DESCRIPTORS;
use fated_kernel::record::Record;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The memory of every guest: one piece at this address.
pub const BASE: u64 = 0x10000;
const SIZE: usize = 1 << 16;

type Bytes = Rc<RefCell<Vec<u8>>>;

/// What all guests share.
#[derive(Debug, Default)]
struct Stage {
    tasks: RefCell<BTreeMap<Tid, Rc<Puppet>>>,
    /// What the real Linux was asked.
    natives: RefCell<Vec<Call>>,
    /// Calls that pass are carried out at once, not when their task runs on.
    at_once: bool,
}

/// A guest that does nothing by itself.
#[derive(Debug)]
pub struct Puppet {
    memory: Bytes,
    regs: Cell<Regs>,
    fds: Rc<RefCell<BTreeSet<i32>>>,
    passes: Cell<bool>,
    stage: Rc<Stage>,
}

impl Puppet {
    fn new(stage: &Rc<Stage>) -> Rc<Puppet> {
        let memory = Rc::new(RefCell::new(vec![0; SIZE]));
        let fds = Rc::new(RefCell::new(BTreeSet::from([0, 1, 2])));
        Rc::new(Puppet { memory, regs: Cell::default(), fds, passes: Cell::new(false), stage: stage.clone() })
    }

    fn open(&self) -> i64 {
        let mut fds = self.fds.borrow_mut();
        let fd = (0..).find(|fd| !fds.contains(fd)).unwrap();
        fds.insert(fd);
        fd.into()
    }
}

impl Memory for Puppet {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        let memory = self.memory.borrow();
        let from = usize::try_from(addr.wrapping_sub(BASE)).ok().and_then(|at| memory.get(at..)).unwrap_or_default();
        let n = from.len().min(buf.len());
        buf[..n].copy_from_slice(&from[..n]);
        n
    }

    fn write(&self, addr: u64, data: &[u8]) -> usize {
        let mut memory = self.memory.borrow_mut();
        let at = usize::try_from(addr.wrapping_sub(BASE)).unwrap_or(SIZE).min(SIZE);
        let n = (SIZE - at).min(data.len());
        memory[at..at + n].copy_from_slice(&data[..n]);
        n
    }
}

impl Cpu for Puppet {
    fn regs(&self) -> Regs {
        self.regs.get()
    }

    fn set_regs(&self, regs: &Regs) {
        self.regs.set(*regs);
    }

    fn xstate(&self) -> Vec<u8> {
        vec![0; 512]
    }

    fn set_xstate(&self, _image: &[u8]) -> Result<(), Errno> {
        Ok(())
    }

    /// A processor with fpu, sse, sse2 and long mode alone.
    fn cpuid(&self, leaf: u32, _sub: u32) -> [u32; 4] {
        match leaf {
            1 => [0, 0, 0, 1 | 3 << 25],
            0x8000_0001 => [0, 0, 0, 1 << 29],
            _ => [0; 4],
        }
    }
}

impl HostFiles for Puppet {
    fn stat(&self, dirfd: i32, path: &[u8], _flags: u32) -> Result<FileStat, Errno> {
        const PIPE: u32 = 0o010_600;
        if !path.is_empty() {
            return tree::stat(path);
        }
        if self.fds.borrow().contains(&dirfd) {
            Ok(FileStat { mode: PIPE, ..FileStat::default() })
        } else {
            Err(Errno::EBADF)
        }
    }

    fn list(&self, _fd: i32, _again: bool) -> Result<Listing, Errno> {
        Err(Errno::ENOTDIR)
    }

    fn read_link(&self, _dirfd: i32, path: &[u8]) -> Result<Vec<u8>, Errno> {
        tree::read_link(path)
    }

    fn open_program(&self, _: i32, _: &[u8], _: u32) -> Result<Option<Rc<dyn ProgramFile>>, Errno> {
        Err(Errno::ENOENT)
    }
    fn proc_file(&self, _name: &str) -> Result<Vec<u8>, Errno> {
        Ok(Vec::new())
    }

    fn proc_link(&self, name: &str) -> Result<Vec<u8>, Errno> {
        if name == "cwd" { Ok(tree::CWD.into()) } else { Err(Errno::ENOENT) }
    }
}

impl RealTask for Puppet {
    /// Of the real Linux there is just enough for placeholders.
    fn native(&self, call: Call) -> i64 {
        const EVENTFD2: u64 = 290;
        const PIPE2: u64 = 293;
        self.stage.natives.borrow_mut().push(call);
        match call.number {
            EVENTFD2 => self.open(),
            PIPE2 => {
                let ends = [self.open() as u32, self.open() as u32];
                self.write(call.args[0], &ends.map(u32::to_le_bytes).concat());
                0
            }
            _ => -i64::from(Errno::ENOSYS.number()),
        }
    }

    fn pass(&self, call: Call) -> Option<i64> {
        self.passes.set(!self.stage.at_once);
        self.stage.at_once.then(|| self.native(call))
    }

    fn spawn(&self, spawn: &Spawn) -> Result<Rc<dyn RealTask>, Errno> {
        const CLONE_VM: u64 = 0x100;
        const CLONE_FILES: u64 = 0x400;
        let copy = |memory: &Bytes| Rc::new(RefCell::new(memory.borrow().clone()));
        let memory = if spawn.flags & CLONE_VM != 0 { self.memory.clone() } else { copy(&self.memory) };
        let own = Rc::new(RefCell::new(self.fds.borrow().clone()));
        let fds = if spawn.flags & CLONE_FILES != 0 { self.fds.clone() } else { own };
        let child = Rc::new(Puppet {
            memory,
            regs: self.regs.clone(),
            fds,
            passes: Cell::new(false),
            stage: self.stage.clone(),
        });
        self.stage.tasks.borrow_mut().insert(spawn.tid, child.clone());
        Ok(child)
    }

    fn exec(&self, _exec: Exec) -> Result<(), ExecError> {
        Err(ExecError::Refused(Errno::ENOENT))
    }

    fn exit(&self) {}

    fn exit_group(&self) {}
}

/// Streams without input, and a trace that nobody reads.
#[derive(Debug)]
pub struct Nowhere;

impl Console for Nowhere {
    fn read(&self, _fd: i32, _buf: &mut [u8]) -> Result<usize, Errno> {
        Ok(0)
    }
    fn write(&self, _fd: i32, data: &[u8]) -> Result<usize, Errno> {
        Ok(data.len())
    }
    fn poll(&self, _fd: i32, _want: u64) -> u32 {
        fated_kernel::fs::poll::IN | fated_kernel::fs::poll::OUT
    }
    fn stat(&self, _fd: i32) -> Result<FileStat, Errno> {
        Ok(FileStat::default())
    }
    fn ioctl(&self, _fd: i32, _request: u32, _arg: &mut [u8]) -> Result<i64, Errno> {
        Err(Errno::ENOTTY)
    }
}

impl Trace for Nowhere {
    fn record(&self, _record: &Record) {}
    fn notice(&self, _line: String) {}
}

/// A host whose tasks take turns with every call.
pub fn config() -> Config {
    Config {
        seed: 1,
        epoch_ns: 1_767_225_600_000_000_000,
        call_cost_ns: 1000,
        policy: Policy::RoundRobin,
        slice_calls: 1,
        hostname: "test".into(),
        cpus: 1,
        max_tasks: 1000,
        input: Input::Live,
        wait_by_scan: false,
        real_start_ns: 0,
        tmp: None,
        log: false,
    }
}

/// A kernel with puppets.
#[derive(Debug)]
pub struct World {
    pub kernel: Rc<Kernel>,
    stage: Rc<Stage>,
    /// Calls that have been made and not yet returned.
    open: RefCell<BTreeSet<Tid>>,
    /// Results that were seen while another task's turn was awaited.
    results: RefCell<BTreeMap<Tid, i64>>,
    /// Who waits at its next call, as the kernel last said.
    turn: Cell<Option<Tid>>,
}

/// The first process.
pub fn first() -> Tid {
    Tid::new(2).unwrap()
}

impl World {
    pub fn new() -> World {
        World::with(World::nowhere())
    }

    /// Streams without input, and a trace that nobody reads.
    pub fn nowhere() -> Rc<Nowhere> {
        Rc::new(Nowhere)
    }

    pub fn with(console: Rc<dyn Console>) -> World {
        World::configured(config(), console, World::nowhere(), false)
    }

    /// The engine carries out calls that pass at once, or when their task runs on.
    pub fn configured(config: Config, console: Rc<dyn Console>, trace: Rc<dyn Trace>, at_once: bool) -> World {
        World::of_kernel(Kernel::new(config, console, trace), at_once)
    }

    /// The same, around a kernel that is there.
    pub fn of_kernel(kernel: Rc<Kernel>, at_once: bool) -> World {
        let stage = Rc::new(Stage { at_once, ..Stage::default() });
        let guest = Puppet::new(&stage);
        let boot = Boot {
            exe: b"/bin/puppet".to_vec(),
            cwd: tree::CWD.to_vec(),
            umask: 0o022,
            credentials: Default::default(),
            inherited: Vec::new(),
            descriptors: DESCRIPTORS.soft,
        };
        let tid = kernel.boot(&boot, guest.clone());
        stage.tasks.borrow_mut().insert(tid, guest);
        World { kernel, stage, open: RefCell::default(), results: RefCell::default(), turn: Cell::new(None) }
    }

    /// Lets `tid` make a call when its turn comes. All others that could run yield meanwhile.
    #[track_caller]
    pub fn call(&self, tid: Tid, number: u32, args: &[u64]) {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        self.until_turn(tid);
        self.turn.set(None);
        self.open.borrow_mut().insert(tid);
        self.kernel.stopped(tid, Stop::Call(Call { number: number.into(), args: all }));
    }

    /// Makes a call and expects it to return.
    #[track_caller]
    pub fn result(&self, tid: Tid, number: u32, args: &[u64]) -> i64 {
        self.call(tid, number, args);
        self.returned(tid)
    }

    /// The result of a call that was made before; it has to be there once everything else waits.
    #[track_caller]
    pub fn returned(&self, tid: Tid) -> i64 {
        let early = self.results.borrow_mut().remove(&tid);
        early.unwrap_or_else(|| {
            self.until_turn(tid);
            self.open.borrow_mut().remove(&tid);
            self.rax(tid)
        })
    }

    fn rax(&self, tid: Tid) -> i64 {
        self.stage.tasks.borrow()[&tid].regs.get().rax as i64
    }

    #[track_caller]
    fn until_turn(&self, tid: Tid) {
        const SCHED_YIELD: u64 = 24;
        for _ in 0..1000 {
            match self.turn.take().map_or_else(|| self.kernel.run_until(None), Next::Run) {
                Next::Run(other) if other == tid => return self.turn.set(Some(tid)),
                Next::Run(other) => {
                    if self.open.borrow_mut().remove(&other) {
                        self.results.borrow_mut().insert(other, self.rax(other));
                    }
                    self.kernel.stopped(other, Stop::Call(Call { number: SCHED_YIELD, args: [0; 6] }));
                }
                next => panic!("{tid} never runs: {next:?}"),
            }
        }
        panic!("{tid} doesn't get its turn");
    }

    /// Lets everyone who can run yield until nothing moves any more.
    pub fn ending(&self) -> Ending {
        match self.kernel.run_until(None) {
            Next::Finished(ending) => ending,
            next => panic!("the run goes on: {next:?}"),
        }
    }

    pub fn write(&self, tid: Tid, addr: u64, data: &[u8]) {
        assert_eq!(self.stage.tasks.borrow()[&tid].write(addr, data), data.len());
    }

    pub fn read<const N: usize>(&self, tid: Tid, addr: u64) -> [u8; N] {
        let mut bytes = [0; N];
        assert_eq!(self.stage.tasks.borrow()[&tid].read(addr, &mut bytes), N);
        bytes
    }

    pub fn regs(&self, tid: Tid) -> Regs {
        self.stage.tasks.borrow()[&tid].regs.get()
    }

    pub fn set_stack(&self, tid: Tid, to: u64) {
        let regs = &self.stage.tasks.borrow()[&tid].regs;
        regs.set(Regs { rsp: to, ..regs.get() });
    }

    pub fn set_regs(&self, tid: Tid, regs: Regs) {
        self.stage.tasks.borrow()[&tid].regs.set(regs);
    }

    /// Everything that the real Linux was asked so far.
    pub fn natives(&self) -> Vec<Call> {
        self.stage.natives.borrow().clone()
    }

    /// Lets the real Linux carry out a call of `tid`.
    pub fn native(&self, tid: Tid, call: Call) -> i64 {
        let puppet = self.stage.tasks.borrow()[&tid].clone();
        puppet.native(call)
    }

    /// Whether the call that `tid` is in was passed to the real Linux since this was last asked.
    pub fn passes(&self, tid: Tid) -> bool {
        self.stage.tasks.borrow()[&tid].passes.take()
    }

    /// Forks a child of `tid`.
    #[track_caller]
    pub fn fork(&self, tid: Tid) -> Tid {
        const FORK: u32 = 57;
        Tid::new(self.result(tid, FORK, &[]) as u32).unwrap()
    }
}
