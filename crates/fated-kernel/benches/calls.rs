//! What the kernel itself costs per call: its guests have memory and nothing else, and what the real Linux would do is done at once.
//!
//! `cargo bench -p fated-kernel`. Each call is driven both ways: `stopped` and `next`, as an engine beside the guest does, and
//! `answer`, as one inside it.
#![expect(missing_docs, reason = "criterion's macros make public functions without docs")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fated_kernel::arch::{Call, Regs};
use fated_kernel::config::{Config, Input, Policy};
use fated_kernel::errno::Errno;
use fated_kernel::fs::dirent::Listing;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::host::{Boot, Kernel, Next};
use fated_kernel::id::Tid;
use fated_kernel::ports::{Console, Cpu, HostFiles, Memory, RealTask, Spawn, Stop, Trace};
use fated_kernel::process::exec::plan::{Exec, ExecError, ProgramFile};
use fated_kernel::process::limits::DESCRIPTORS;
use fated_kernel::record::Record;
use linux_raw_sys::general as nr;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const BASE: u64 = 0x10000;
const SIZE: usize = 1 << 14;
/// A regular file that the real Linux has open.
const FILE: i64 = 50;

/// A guest that is memory and a register.
#[derive(Debug)]
struct Null {
    memory: Rc<RefCell<Vec<u8>>>,
    rax: Cell<u64>,
    fds: Rc<Cell<i64>>,
}

impl Memory for Null {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        let memory = self.memory.borrow();
        let from = addr.checked_sub(BASE).and_then(|at| memory.get(at as usize..)).unwrap_or_default();
        let len = from.len().min(buf.len());
        buf[..len].copy_from_slice(&from[..len]);
        len
    }
    fn write(&self, addr: u64, data: &[u8]) -> usize {
        let mut memory = self.memory.borrow_mut();
        let to = addr.checked_sub(BASE).and_then(|at| memory.get_mut(at as usize..)).unwrap_or_default();
        let len = to.len().min(data.len());
        to[..len].copy_from_slice(&data[..len]);
        len
    }
}

impl Cpu for Null {
    fn regs(&self) -> Regs {
        Regs { rax: self.rax.get(), ..Regs::default() }
    }
    fn set_regs(&self, regs: &Regs) {
        self.rax.set(regs.rax);
    }
    fn xstate(&self) -> Vec<u8> {
        Vec::new()
    }
    fn set_xstate(&self, _image: &[u8]) -> Result<(), Errno> {
        Ok(())
    }

    fn cpuid(&self, _leaf: u32, _sub: u32) -> [u32; 4] {
        [0; 4]
    }
}

impl HostFiles for Null {
    fn stat(&self, _dirfd: i32, path: &[u8], _flags: u32) -> Result<FileStat, Errno> {
        const REGULAR: u32 = 0o100_644;
        const DIRECTORY: u32 = 0o040_755;
        let mode = if matches!(path, b"" | b"/home/file") { REGULAR } else { DIRECTORY };
        Ok(FileStat { mode, nlink: 1, dev: 1, ino: 1000 + path.len() as u64, ..FileStat::default() })
    }
    fn list(&self, _fd: i32, _again: bool) -> Result<Listing, Errno> {
        Err(Errno::ENOTDIR)
    }
    fn read_link(&self, _dirfd: i32, _path: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::EINVAL)
    }
    fn open_program(&self, _: i32, _: &[u8], _: u32) -> Result<Option<Rc<dyn ProgramFile>>, Errno> {
        Err(Errno::ENOENT)
    }
    fn proc_file(&self, _name: &str) -> Result<Vec<u8>, Errno> {
        Ok(Vec::new())
    }
    fn proc_link(&self, _name: &str) -> Result<Vec<u8>, Errno> {
        Ok(b"/home".to_vec())
    }
}

impl RealTask for Null {
    fn native(&self, call: Call) -> i64 {
        match call.number as u32 {
            nr::__NR_pipe2 => {
                let end = self.fds.replace(self.fds.get() + 2);
                self.write(call.args[0], &[end as u32, end as u32 + 1].map(u32::to_le_bytes).concat());
                0
            }
            nr::__NR_open => FILE,
            _ => 0,
        }
    }
    fn pass(&self, call: Call) -> Option<i64> {
        Some(self.native(call))
    }
    fn spawn(&self, spawn: &Spawn) -> Result<Rc<dyn RealTask>, Errno> {
        let shares = spawn.flags & u64::from(nr::CLONE_VM) != 0;
        let memory = if shares { self.memory.clone() } else { Rc::new(RefCell::new(self.memory.borrow().clone())) };
        Ok(Rc::new(Null { memory, rax: Cell::new(0), fds: self.fds.clone() }))
    }
    fn exec(&self, _exec: Exec) -> Result<(), ExecError> {
        Err(ExecError::Refused(Errno::ENOENT))
    }
    fn exit(&self) {}
    fn exit_group(&self) {}
}

#[derive(Debug)]
struct Nowhere;

impl Console for Nowhere {
    fn read(&self, _fd: i32, _buf: &mut [u8]) -> Result<usize, Errno> {
        Ok(0)
    }
    fn write(&self, _fd: i32, data: &[u8]) -> Result<usize, Errno> {
        Ok(data.len())
    }
    fn poll(&self, _fd: i32, _want: u64) -> u32 {
        0
    }
    fn stat(&self, _fd: i32) -> Result<FileStat, Errno> {
        const PIPE: u32 = 0o010_600;
        Ok(FileStat { mode: PIPE, ..FileStat::default() })
    }
    fn ioctl(&self, _fd: i32, _request: u32, _arg: &mut [u8]) -> Result<i64, Errno> {
        Err(Errno::ENOTTY)
    }
}

impl Trace for Nowhere {
    fn record(&self, _record: &Record) {}
    fn notice(&self, _line: String) {}
}

fn call(number: u32, args: &[u64]) -> Call {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    Call { number: number.into(), args: all }
}

/// How the engine drives the kernel.
#[derive(Clone, Copy)]
enum Engine {
    Asks,
    Answers,
}

/// The calls that a task makes over and over.
struct Script {
    calls: Vec<Call>,
    at: usize,
}

impl Script {
    fn new(calls: &[Call]) -> Script {
        Script { calls: calls.to_vec(), at: 0 }
    }

    fn next(&mut self) -> Call {
        let call = self.calls[self.at];
        self.at = if self.at + 1 == self.calls.len() { 0 } else { self.at + 1 };
        call
    }
}

/// A host in which the first task has one script and all others have another.
struct Host {
    kernel: Rc<Kernel>,
    /// Whose turn it is.
    tid: Tid,
    scripts: [Script; 2],
    engine: Engine,
}

impl Host {
    /// Its first task has made the calls of `prologue`, meanwhile the others have yielded.
    fn new(engine: Engine, prologue: &[Call], scripts: &[Vec<Call>; 2]) -> Host {
        let config = Config {
            seed: 1,
            epoch_ns: 1_767_225_600_000_000_000,
            call_cost_ns: 1000,
            policy: Policy::RoundRobin,
            // A turn that ended between a wake and a sleep would lose the wake.
            slice_calls: u32::MAX / 2,
            hostname: "bench".into(),
            cpus: 1,
            max_tasks: 1000,
            input: Input::Live,
            wait_by_scan: false,
            real_start_ns: 0,
            tmp: None,
            log: false,
        };
        let kernel = Kernel::new(config, Rc::new(Nowhere), Rc::new(Nowhere));
        let memory = Rc::new(RefCell::new(vec![0; SIZE]));
        let guest = Rc::new(Null { memory, rax: Cell::new(0), fds: Rc::new(Cell::new(3)) });
        guest.write(BASE + 0x100, b"/home/file\0");
        guest.write(BASE + 0x200, &[3, 0, 0, 0, 1, 0, 0, 0]);
        let boot = Boot {
            exe: b"/bin/null".to_vec(),
            cwd: b"/".to_vec(),
            umask: 0o022,
            credentials: Default::default(),
            inherited: Vec::new(),
            descriptors: DESCRIPTORS.soft,
        };
        let tid = kernel.boot(&boot, guest);
        assert_eq!(kernel.run_until(None), Next::Run(tid));
        let yields = call(nr::__NR_sched_yield, &[]);
        let mut host = Host { kernel, tid, scripts: [Script::new(prologue), Script::new(&[yields])], engine };
        for _ in prologue {
            while host.others_turn() {
                host.step();
            }
            host.step();
        }
        host.scripts = [Script::new(&scripts[0]), Script::new(&scripts[1])];
        host
    }

    fn others_turn(&self) -> bool {
        self.tid.get() != 2
    }

    fn step(&mut self) {
        let call = self.scripts[usize::from(self.others_turn())].next();
        match self.engine {
            Engine::Asks => self.kernel.stopped(self.tid, Stop::Call(call)),
            Engine::Answers => {
                if self.kernel.turn().expect("it runs").answer(call).is_some() {
                    return;
                }
            }
        }
        match self.kernel.run_until(None) {
            Next::Run(tid) => self.tid = tid,
            next => panic!("{next:?}"),
        }
    }
}

const ENGINES: [(&str, Engine); 2] = [("asks", Engine::Asks), ("answers", Engine::Answers)];

/// Measures one round: `calls` calls, of whomever.
fn measure(c: &mut Criterion, name: &str, calls: usize, prologue: &[Call], scripts: [Vec<Call>; 2]) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(calls as u64));
    for (way, engine) in ENGINES {
        let mut host = Host::new(engine, prologue, &scripts);
        group.bench_function(way, |b| b.iter(|| (0..calls).for_each(|_| host.step())));
    }
    group.finish();
}

fn calls(c: &mut Criterion) {
    const THREAD: u64 = 0x50f00;
    const OUT: u64 = BASE + 0x1000;
    const PRIVATE: u64 = 128;
    let alone = |script: &[Call]| [script.to_vec(), Vec::new()];
    let pipe = call(nr::__NR_pipe2, &[OUT, 0]);
    let read = |fd: u64| call(nr::__NR_read, &[fd, OUT, 1]);
    let write = |fd: u64| call(nr::__NR_write, &[fd, OUT, 1]);
    let thread = call(nr::__NR_clone, &[THREAD, BASE + 0x2000, 0, 0, 0]);
    let wait = |word: u64| call(nr::__NR_futex, &[word, PRIVATE, 0, 0]);
    let wake = |word: u64| call(nr::__NR_futex, &[word, PRIVATE | 1, 1]);

    measure(c, "getppid", 1, &[], alone(&[call(nr::__NR_getppid, &[])]));
    measure(c, "clock_gettime", 1, &[], alone(&[call(nr::__NR_clock_gettime, &[1, OUT])]));
    measure(c, "rt_sigprocmask", 1, &[], alone(&[call(nr::__NR_rt_sigprocmask, &[0, BASE + 0x800, OUT, 8])]));
    measure(c, "poll, ready", 1, &[pipe, write(4)], alone(&[call(nr::__NR_poll, &[BASE + 0x200, 1, u64::MAX])]));
    measure(c, "pipe, alone", 2, &[pipe], alone(&[write(4), read(3)]));
    measure(c, "pipe, two tasks", 4, &[pipe, pipe, thread], [vec![write(4), read(5)], vec![read(3), write(6)]]);
    let [one, two] = [BASE + 0x800, BASE + 0x900];
    // A wake leaves nothing behind: the first one must find a sleeper.
    let scripts = [vec![wake(two), wait(one)], vec![wake(one), wait(two)]];
    measure(c, "futex, two tasks", 4, &[thread, wait(one)], scripts);
    let file = FILE as u64;
    let open = call(nr::__NR_open, &[BASE + 0x100, 0]);
    let fstat = call(nr::__NR_fstat, &[file, OUT]);
    let close = call(nr::__NR_close, &[file]);
    measure(c, "open, fstat, read, close", 4, &[], alone(&[open, fstat, read(file), close]));
    measure(c, "lseek of a real file", 1, &[], alone(&[call(nr::__NR_lseek, &[file, 0, 0])]));
    let wait4 = call(nr::__NR_wait4, &[u64::MAX, OUT, 0, 0]);
    let exit = call(nr::__NR_exit_group, &[0]);
    measure(c, "fork, exit, wait", 3, &[], [vec![call(nr::__NR_fork, &[]), wait4], vec![exit]]);
}

criterion_group!(benches, calls);
criterion_main!(benches);
