//! The birth of tasks and processes: fork(2), vfork(2), clone(2), clone3(2), and the first process (Linux: `kernel/fork.c`).
//!
//! Invariant: a task is known to the scheduler only once the family, the process and the kernel's table have it.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::fs_struct::{FsStruct, WorkingDirectory};
use crate::host::{Boot, Kernel};
use crate::id::{Pid, Tid};
use crate::ports::{RealTask, Spawn};
use crate::process::capabilities::cap;
use crate::process::credentials::Act;
use crate::process::family::{ForkFlags, Signal};
use crate::process::limits::INFINITY;
use crate::process::pidfd::PidFd;
use crate::process::task::{AltStack, MmId, Task};
use crate::process::thread_group::Process;
use crate::sched::wait_queue::WaitQueue;
use crate::signal::Pending;
use crate::time::cpu;
use crate::time::timer::ProcessTimers;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use fated_wait::SigchldAction;
use linux_raw_sys::general as c;

pub(crate) const VM: u64 = c::CLONE_VM as u64;
pub(crate) const VFORK: u64 = c::CLONE_VFORK as u64;
pub(crate) const THREAD: u64 = c::CLONE_THREAD as u64;
pub(crate) const PARENT: u64 = c::CLONE_PARENT as u64;
pub(crate) const SIGHAND: u64 = c::CLONE_SIGHAND as u64;
/// `CLONE_CLEAR_SIGHAND`.
pub(crate) const CLEAR_SIGHAND: u64 = 1 << 32;
const FILES: u64 = c::CLONE_FILES as u64;
const FS: u64 = c::CLONE_FS as u64;
const PIDFD: u64 = c::CLONE_PIDFD as u64;
/// The flags that shape the real task.
const REAL: u64 = VM | FILES | FS | SIGHAND | THREAD | c::CLONE_SYSVSEM as u64 | c::CLONE_SETTLS as u64;
const NAMESPACES: u64 = (c::CLONE_NEWNS
    | c::CLONE_NEWCGROUP
    | c::CLONE_NEWUTS
    | c::CLONE_NEWIPC
    | c::CLONE_NEWUSER
    | c::CLONE_NEWPID
    | c::CLONE_NEWNET) as u64;

/// The highest id (`/proc/sys/kernel/pid_max`).
pub const PID_MAX: u32 = 4_194_304;

/// What is asked for, by whichever call (Linux: `struct kernel_clone_args`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request {
    /// `CLONE_*`.
    pub(crate) flags: u64,
    /// The signal that the parent gets when the process ends, or 0.
    pub(crate) exit_signal: u64,
    /// The stack pointer of the new task; 0 for the parent's.
    pub(crate) stack: u64,
    /// The address for `CLONE_PARENT_SETTID`.
    pub(crate) parent_tid: u64,
    /// The address for `CLONE_CHILD_SETTID` and `CLONE_CHILD_CLEARTID`.
    pub(crate) child_tid: u64,
    /// The address for `CLONE_PIDFD`.
    pub(crate) pidfd: u64,
    /// The thread pointer for `CLONE_SETTLS`.
    pub(crate) tls: u64,
    /// The id that the new task shall have (`set_tid` of clone3(2)).
    pub(crate) chosen: Option<i32>,
}

impl Request {
    fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// Refuses combinations of flags that make no sense, and namespaces: there is one set of them per host.
    fn check(&self) -> Result<(), Errno> {
        let newuser = u64::from(c::CLONE_NEWUSER);
        if (self.has(THREAD) && !self.has(SIGHAND)) || (self.has(SIGHAND) && !self.has(VM)) {
            return Err(Errno::EINVAL);
        }
        let newns = self.has(u64::from(c::CLONE_NEWNS)) && self.has(FS);
        if newns || (self.has(newuser) && self.has(THREAD)) {
            return Err(Errno::EINVAL);
        }
        if self.has(NAMESPACES) { Err(Errno::EPERM) } else { Ok(()) }
    }
}

/// Makes a task. With `CLONE_VFORK` it waits until the child no longer uses the memory of its parent.
pub(crate) async fn fork(cx: Cx, request: Request) -> Result<Tid, Errno> {
    request.check()?;
    let kernel = &cx.kernel;
    check_limit(&cx)?;
    let tid = match request.chosen {
        Some(id) => chosen_tid(&cx, id)?,
        None => kernel.new_tid()?,
    };
    let stack = (request.stack != 0).then_some(request.stack);
    let guest = cx.task.guest.spawn(&Spawn { tid, flags: request.flags & REAL, stack, tls: request.tls })?;
    kernel.stats.task();
    let child = new_task(&cx, guest, tid, &request);
    if request.has(u64::from(c::CLONE_PARENT_SETTID)) {
        // Linux ignores a bad pointer here, and in the child.
        let _ = cx.write_u32(request.parent_tid, tid.get());
    }
    if request.has(u64::from(c::CLONE_CHILD_SETTID)) {
        child.set_child_tid.set(request.child_tid);
    }
    if request.has(PIDFD) {
        let fd = PidFd::install(&cx, &child.process)?;
        cx.write_u32(request.pidfd, fd as u32)?;
    }
    kernel.scheduler.admit(&child);
    if request.has(VFORK) {
        let process = child.process.clone();
        drop(child);
        while process.borrowing.get() {
            cx.sleep_uninterrupted(&[&process.released]).await;
        }
    }
    Ok(tid)
}

/// `RLIMIT_NPROC`: how many tasks the user of the caller may have. It doesn't hold for root.
fn check_limit(cx: &Cx) -> Result<(), Errno> {
    let limit = cx.process().limits.soft(c::RLIMIT_NPROC);
    let credentials = cx.process().credentials.borrow();
    if limit == INFINITY || [cap::SYS_RESOURCE, cap::SYS_ADMIN].iter().any(|&it| credentials.may(Act::Capable(it))) {
        return Ok(());
    }
    let uid = credentials.uid[0];
    let processes = cx.kernel.processes.borrow();
    let tasks = |process: &Rc<Process>| {
        if process.credentials.borrow().uid[0] == uid { process.tasks.borrow().len() as u64 } else { 0 }
    };
    let count: u64 = processes.values().map(tasks).sum();
    if count < limit { Ok(()) } else { Err(Errno::EAGAIN) }
}

/// The id that the caller has chosen, which takes a right.
fn chosen_tid(cx: &Cx, id: i32) -> Result<Tid, Errno> {
    let tid = u32::try_from(id).ok().filter(|&id| id < PID_MAX).and_then(Tid::new).ok_or(Errno::EINVAL)?;
    let credentials = cx.process().credentials.borrow();
    if ![cap::CHECKPOINT_RESTORE, cap::SYS_ADMIN].iter().any(|&it| credentials.may(Act::Capable(it))) {
        return Err(Errno::EPERM);
    }
    if cx.kernel.family.borrow().is_free(tid) { Ok(tid) } else { Err(Errno::EEXIST) }
}

/// Enters a new task, whose real task is there, as a copy of its maker (Linux: `copy_process`).
fn new_task(cx: &Cx, guest: Rc<dyn RealTask>, tid: Tid, request: &Request) -> Rc<Task> {
    let (kernel, parent) = (&cx.kernel, &cx.task);
    let thread = request.has(THREAD);
    if !thread {
        parent.see_peak();
    }
    let process =
        if thread { parent.process.clone() } else { new_process(kernel, Pid::from(tid), Some(&parent.process)) };
    process.borrowing.set(request.has(VFORK));
    let actions = parent.actions.borrow().clone();
    let actions = match request.flags & (SIGHAND | CLEAR_SIGHAND) {
        0 => Rc::new(RefCell::new(actions.borrow().clone())),
        SIGHAND => actions,
        _ => {
            let mut cleared = actions.borrow().clone();
            cleared.reset_handlers();
            Rc::new(RefCell::new(cleared))
        }
    };
    let files = parent.files.borrow().clone();
    let fs = parent.fs.borrow().clone();
    let keeps_altstack = request.flags & (VM | VFORK) != VM;
    let clears_tid = request.has(u64::from(c::CLONE_CHILD_CLEARTID));
    let child = Rc::new(Task {
        actions: RefCell::new(actions),
        files: RefCell::new(if request.has(FILES) { files } else { files.copy() }),
        fs: RefCell::new(if request.has(FS) { fs } else { fs.copy() }),
        mm: Cell::new(if request.has(VM) { parent.mm.get() } else { kernel.new_mm() }),
        mask: Cell::new(parent.mask.get()),
        altstack: Cell::new(if keeps_altstack { parent.altstack.get() } else { AltStack::default() }),
        clear_child_tid: Cell::new(if clears_tid { request.child_tid } else { 0 }),
        comm: Cell::new(parent.comm.get()),
        fault: Cell::new(parent.fault.get()),
        timer_slack: Cell::new(parent.timer_slack.get().inherited()),
        attributes: Cell::new(parent.attributes.get().inherited()),
        ..Task::new(kernel, tid, process, guest)
    });
    kernel.enter(&child);
    kernel.ids_in_use.set(kernel.ids_in_use.get() + 1);
    let flags = ForkFlags { thread, parent: request.has(PARENT), ..ForkFlags::default() };
    let exit_signal = Signal::new(request.exit_signal as u32);
    // The id is free and the parent is alive. A child of the first process with CLONE_PARENT becomes a child of process 1.
    let _ = kernel.family_event(|family, effects| family.fork(parent.tid.get(), tid, flags, exit_signal, effects));
    child
}

/// A process that inherits from `parent`, or the first one.
fn new_process(kernel: &Rc<Kernel>, pid: Pid, parent: Option<&Process>) -> Rc<Process> {
    let process = Rc::new(Process {
        pid,
        tasks: RefCell::default(),
        pending: Pending::default(),
        signalled: WaitQueue::default(),
        dying: Cell::new(false),
        ended: WaitQueue::default(),
        released: WaitQueue::default(),
        borrowing: Cell::new(false),
        timers: ProcessTimers::default(),
        limits: parent.map(|parent| parent.limits.clone()).unwrap_or_default(),
        real_descriptors: Cell::new(parent.map_or(0, |parent| parent.real_descriptors.get())),
        credentials: RefCell::new(parent.map(|parent| parent.credentials.borrow().clone()).unwrap_or_default()),
        exe: RefCell::new(parent.map(|parent| parent.exe.borrow().clone()).unwrap_or_default()),
        executable: RefCell::new(parent.and_then(|parent| parent.executable.borrow().clone())),
        settings: parent.map(|parent| parent.settings.clone()).unwrap_or_default(),
        nice: Cell::new(parent.map_or(0, |parent| parent.nice.get())),
        started_ns: kernel.timers.now(),
        ended_usage: Cell::default(),
        memory: parent.map(|parent| parent.memory.forked()).unwrap_or_default(),
        execed: Cell::new(false),
    });
    cpu::limit_set(kernel, &process);
    process
}

impl Kernel {
    /// The next free id; `EAGAIN` if there are too many tasks.
    fn new_tid(&self) -> Result<Tid, Errno> {
        let family = self.family.borrow();
        if self.ids_in_use.get() >= self.config.max_tasks {
            return Err(Errno::EAGAIN);
        }
        for _ in 0..=self.config.max_tasks {
            /// Once ids have wrapped around, they begin above those of the system's own processes.
            const RESERVED: u32 = 300;
            let next = self.last_tid.get() + 1;
            let next = if next > PID_MAX { RESERVED } else { next };
            self.last_tid.set(next);
            if let Some(tid) = Tid::new(next).filter(|&tid| family.is_free(tid)) {
                return Ok(tid);
            }
        }
        Err(Errno::EAGAIN)
    }

    /// The name of a new address space.
    pub(crate) fn new_mm(&self) -> MmId {
        MmId(self.next_serial())
    }

    /// Enters a task, and with its first task a process, into the kernel's tables.
    fn enter(&self, task: &Rc<Task>) {
        let process = &task.process;
        process.tasks.borrow_mut().push(task.clone());
        self.tasks.borrow_mut().insert(task.tid.get(), task.clone());
        self.processes.borrow_mut().entry(process.pid).or_insert_with(|| process.clone());
    }
}

/// Makes process 1, which is the kernel's own and reaps orphans, and its first child, which leads a session.
pub(crate) fn first_task(kernel: &Rc<Kernel>, boot: &Boot, guest: Rc<dyn RealTask>) -> Rc<Task> {
    let (Some(init), Some(tid)) = (Tid::new(1), Tid::new(2)) else { unreachable!("1 and 2 are ids") };
    let process = new_process(kernel, Pid::from(tid), None);
    *process.exe.borrow_mut() = kernel.mounts.shown(boot.exe.clone());
    process.credentials.borrow_mut().clone_from(&boot.credentials);
    process.execed.set(true);
    process.real_descriptors.set(boot.descriptors);
    let cwd = WorkingDirectory::Real { path: Some(kernel.mounts.shown(boot.cwd.clone()).into()), generation: 0 };
    let fs = FsStruct::new(cwd, boot.umask);
    let mm = Cell::new(kernel.new_mm());
    let task = Rc::new(Task { fs: RefCell::new(fs), mm, ..Task::new(kernel, tid, process, guest) });
    // Linux named it after the path by which it was started, which may be a link to the program.
    let name = task.guest.proc_file("comm").unwrap_or_default();
    task.set_comm_from(if name.is_empty() { &boot.exe } else { name.trim_ascii_end() });
    kernel.enter(&task);
    kernel.last_tid.set(tid.get());
    kernel.ids_in_use.set(1);
    // An empty family takes both.
    let _ = kernel.family_event(|family, effects| {
        family.init(init)?;
        family.set_sigchld(init.into(), SigchldAction { ignore: true, ..SigchldAction::default() })?;
        family.fork(init, tid, ForkFlags::default(), Some(Signal::SIGCHLD), effects)?;
        // What process 1 does about its children is not inherited.
        family.set_sigchld(tid.into(), SigchldAction::default())?;
        family.set_uid(tid, boot.credentials.uid[0])?;
        family.setsid(tid, effects)
    });
    let cx = Cx { kernel: kernel.clone(), task: task.clone() };
    crate::process::exec::hold_executable(&cx);
    crate::fs::inherit::install(&cx, &boot.inherited);
    kernel.scheduler.admit(&task);
    task
}
