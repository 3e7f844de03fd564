//! fork(2), vfork(2), clone(2), clone3(2): new tasks.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::host::{Boot, Kernel};
use crate::id::{Pid, Tid};
use crate::outcome::SysResult;
use crate::ports::{RealTask, Spawn};
use crate::process::family::{ForkFlags, Signal};
use crate::process::task::{AltStack, Credentials, MmId, Process, Task};
use crate::sched::Rest;
use crate::sched::entity::Entity;
use crate::sched::wait_queue::WaitQueue;
use crate::signal::{Actions, Pending, SigSet, nr};
use crate::syscall::Args;
use crate::time::timer::ProcessTimers;
use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};
use fated_wait::SigchldAction;
use linux_raw_sys::general as c;

const VM: u64 = c::CLONE_VM as u64;
const FILES: u64 = c::CLONE_FILES as u64;
const SIGHAND: u64 = c::CLONE_SIGHAND as u64;
const THREAD: u64 = c::CLONE_THREAD as u64;
const VFORK: u64 = c::CLONE_VFORK as u64;
const PARENT: u64 = c::CLONE_PARENT as u64;
const PIDFD: u64 = c::CLONE_PIDFD as u64;
const CLEAR_SIGHAND: u64 = 1 << 32;
const INTO_CGROUP: u64 = 1 << 33;
/// What the real side of a task is shaped by.
const REAL: u64 = VM | FILES | SIGHAND | THREAD | c::CLONE_FS as u64 | c::CLONE_SYSVSEM as u64 | c::CLONE_SETTLS as u64;
const NAMESPACES: u64 = (c::CLONE_NEWNS
    | c::CLONE_NEWCGROUP
    | c::CLONE_NEWUTS
    | c::CLONE_NEWIPC
    | c::CLONE_NEWUSER
    | c::CLONE_NEWPID
    | c::CLONE_NEWNET) as u64;

/// What is asked for, from whichever call.
#[derive(Clone, Copy, Default)]
struct Request {
    flags: u64,
    exit_signal: u64,
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    pidfd: u64,
    tls: u64,
}

pub async fn fork(cx: Cx) -> SysResult {
    make(cx, Request { exit_signal: nr::CHLD as u64, ..Request::default() }).await
}

pub async fn vfork(cx: Cx) -> SysResult {
    make(cx, Request { flags: VFORK | VM, exit_signal: nr::CHLD as u64, ..Request::default() }).await
}

pub async fn clone(cx: Cx, a: Args) -> SysResult {
    const CSIGNAL: u64 = 0xff;
    let [flags, stack, parent_tid, child_tid, tls, _] = a;
    let flags = flags & 0xffff_ffff;
    let request = Request {
        flags: flags & !CSIGNAL,
        exit_signal: flags & CSIGNAL,
        stack,
        parent_tid,
        child_tid,
        // The old call has one place for both.
        pidfd: parent_tid,
        tls,
    };
    if flags & PIDFD != 0 && flags & u64::from(c::CLONE_PARENT_SETTID) != 0 {
        return Err(Errno::EINVAL);
    }
    make(cx, request).await
}

pub async fn clone3(cx: Cx, a: Args) -> SysResult {
    const KNOWN: usize = 88;
    let size = a[1] as usize;
    if size < 64 {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let mut bytes = cx.read_vec(a[0], size)?;
    if bytes.iter().skip(KNOWN).any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    bytes.resize(KNOWN, 0);
    let mut words = [0; KNOWN / 8];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut raw = [0; 8];
        raw.copy_from_slice(chunk);
        *word = u64::from_le_bytes(raw);
    }
    let [flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, _, set_tid_size, _] = words;
    let detached = u64::from(c::CLONE_DETACHED);
    if flags & (detached | 0xff) != 0 || exit_signal > 64 || flags & INTO_CGROUP != 0 {
        return Err(Errno::EINVAL);
    }
    if (stack == 0) != (stack_size == 0) || (flags & (THREAD | PARENT) != 0 && exit_signal != 0) {
        return Err(Errno::EINVAL);
    }
    if flags & CLEAR_SIGHAND != 0 && flags & SIGHAND != 0 {
        return Err(Errno::EINVAL);
    }
    if set_tid_size != 0 {
        // Choosing one's ids takes CAP_CHECKPOINT_RESTORE in the pid namespace.
        return Err(Errno::EPERM);
    }
    let stack = stack.wrapping_add(stack_size);
    make(cx, Request { flags, exit_signal, stack, parent_tid, child_tid, pidfd, tls }).await
}

fn check(flags: u64) -> Result<(), Errno> {
    let with = |bit: u64| flags & bit != 0;
    let newuser = u64::from(c::CLONE_NEWUSER);
    if (with(THREAD) && !with(SIGHAND)) || (with(SIGHAND) && !with(VM)) {
        return Err(Errno::EINVAL);
    }
    if with(u64::from(c::CLONE_NEWNS)) && with(u64::from(c::CLONE_FS)) || (with(newuser) && with(THREAD)) {
        return Err(Errno::EINVAL);
    }
    if with(NAMESPACES) {
        // One host, one set of namespaces.
        return Err(Errno::EPERM);
    }
    Ok(())
}

async fn make(cx: Cx, request: Request) -> SysResult {
    let Request { flags, .. } = request;
    check(flags)?;
    let kernel = &cx.kernel;
    let tid = kernel.new_tid()?;
    let spawn =
        Spawn { tid, flags: flags & REAL, stack: (request.stack != 0).then_some(request.stack), tls: request.tls };
    let guest = cx.task.guest.spawn(&spawn)?;
    kernel.stats.task();
    let child = kernel.add_child(&cx, guest, tid, &request);
    if flags & u64::from(c::CLONE_PARENT_SETTID) != 0 {
        // Linux doesn't mind a bad pointer here, nor in the child.
        let _ = cx.write_u32(request.parent_tid, tid.get());
    }
    if flags & u64::from(c::CLONE_CHILD_SETTID) != 0 {
        child.set_child_tid.set(request.child_tid);
    }
    if flags & PIDFD != 0 {
        let fd = crate::syscall::pidfd::open(&cx, &child.process)?;
        cx.write_u32(request.pidfd, fd as u32)?;
    }
    kernel.scheduler.admit(&child);
    if flags & VFORK != 0 {
        let process = child.process.clone();
        drop(child);
        while process.borrowing.get() {
            cx.sleep_uninterrupted(&[&process.released]).await;
        }
    }
    Ok(u64::from(tid.get()).into())
}

impl Kernel {
    /// The next free id; `EAGAIN` if there are too many tasks.
    fn new_tid(&self) -> Result<Tid, Errno> {
        let family = self.family.borrow();
        if self.ids_in_use.get() >= self.config.max_tasks {
            return Err(Errno::EAGAIN);
        }
        for _ in 0..=self.config.max_tasks {
            // Ids that went once round start above the system's own, as Linux has it.
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

    fn add_child(self: &Rc<Self>, cx: &Cx, guest: Rc<dyn RealTask>, tid: Tid, request: &Request) -> Rc<Task> {
        let (parent, flags) = (&cx.task, request.flags);
        let thread = flags & THREAD != 0;
        let process = if thread { parent.process.clone() } else { self.new_process(Pid::from(tid), &parent.process) };
        process.borrowing.set(flags & VFORK != 0);
        let actions = parent.actions.borrow().clone();
        let actions = match flags & (SIGHAND | CLEAR_SIGHAND) {
            0 => Rc::new(RefCell::new(actions.borrow().clone())),
            SIGHAND => actions,
            _ => {
                let mut cleared = actions.borrow().clone();
                cleared.reset_handlers();
                Rc::new(RefCell::new(cleared))
            }
        };
        let files = parent.files.borrow().clone();
        let keeps_altstack = flags & (VM | VFORK) != VM;
        let child = Rc::new(Task {
            actions: RefCell::new(actions),
            files: RefCell::new(if flags & FILES != 0 { files } else { files.copy() }),
            mm: Cell::new(if flags & VM != 0 { parent.mm.get() } else { self.new_mm() }),
            mask: Cell::new(parent.mask.get()),
            altstack: Cell::new(if keeps_altstack { parent.altstack.get() } else { AltStack::default() }),
            clear_child_tid: Cell::new(if flags & u64::from(c::CLONE_CHILD_CLEARTID) != 0 {
                request.child_tid
            } else {
                0
            }),
            comm: Cell::new(parent.comm.get()),
            attributes: Cell::new(parent.attributes.get().inherited()),
            ..Task::new(tid, process.clone(), guest)
        });
        process.tasks.borrow_mut().push(child.clone());
        self.tasks.borrow_mut().insert(tid, child.clone());
        if !thread {
            self.processes.borrow_mut().insert(process.pid, process);
        }
        let fork = ForkFlags { thread, parent: flags & PARENT != 0, ..ForkFlags::default() };
        let exit_signal = Signal::new(request.exit_signal as u32);
        let parent_tid = parent.tid.get();
        self.ids_in_use.set(self.ids_in_use.get() + 1);
        // The id is free and the parent alive; a child of the first process with CLONE_PARENT becomes a child of 1.
        let _ = self.family_event(|family, effects| family.fork(parent_tid, tid, fork, exit_signal, effects));
        child
    }

    fn new_process(self: &Rc<Self>, pid: Pid, parent: &Process) -> Rc<Process> {
        let process = Process::new(self, pid);
        *process.limits.borrow_mut() = *parent.limits.borrow();
        process.credentials.borrow_mut().clone_from(&parent.credentials.borrow());
        process.exe.borrow_mut().clone_from(&parent.exe.borrow());
        process.executable.borrow_mut().clone_from(&parent.executable.borrow());
        process.attributes.borrow_mut().clone_from(&parent.attributes.borrow());
        process.nice.set(parent.nice.get());
        Rc::new(process)
    }

    pub(crate) fn new_mm(&self) -> MmId {
        MmId(self.next_serial())
    }
}

/// The highest id (`/proc/sys/kernel/pid_max`).
pub const PID_MAX: u32 = 4_194_304;

impl Task {
    /// A task with nothing of its own yet.
    fn new(tid: Tid, process: Rc<Process>, guest: Rc<dyn RealTask>) -> Task {
        Task {
            tid: Cell::new(tid),
            process,
            guest,
            work: RefCell::default(),
            rest: Cell::new(Rest::Ready),
            logged: RefCell::default(),
            passing: Cell::new(false),
            turn_over: Cell::new(false),
            call: Cell::new(crate::arch::Call { number: 0, args: [0; 6] }),
            interrupted: Cell::new(None),
            restart: Cell::new(None),
            pending: Pending::default(),
            mask: Cell::new(SigSet::EMPTY),
            saved_mask: Cell::new(None),
            sigwait: Cell::new(SigSet::EMPTY),
            fault: Cell::default(),
            altstack: Cell::default(),
            actions: RefCell::new(Rc::new(RefCell::new(Actions::default()))),
            files: RefCell::default(),
            mm: Cell::new(MmId(0)),
            set_child_tid: Cell::new(0),
            clear_child_tid: Cell::new(0),
            robust_list: Cell::new(0),
            comm: Cell::new([0; 16]),
            entity: Entity::default(),
            attributes: Cell::default(),
            cpu_ns: Cell::new(0),
            halted: Cell::new(false),
            parked: Cell::new(false),
        }
    }

    /// Names it after the last component of a path.
    pub(crate) fn set_comm_from(&self, path: &[u8]) {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut comm = [0; 16];
        let len = name.len().min(15);
        comm[..len].copy_from_slice(&name[..len]);
        self.comm.set(comm);
    }
}

impl Process {
    fn new(kernel: &Rc<Kernel>, pid: Pid) -> Process {
        Process {
            pid,
            tasks: RefCell::default(),
            pending: Pending::default(),
            signalled: WaitQueue::new(kernel),
            dying: Cell::new(false),
            ended: WaitQueue::new(kernel),
            released: WaitQueue::new(kernel),
            borrowing: Cell::new(false),
            timers: ProcessTimers::default(),
            limits: RefCell::new(crate::syscall::resource::default_limits()),
            credentials: RefCell::new(Credentials::default()),
            exe: RefCell::new(Vec::new()),
            executable: RefCell::default(),
            attributes: RefCell::new(BTreeMap::new()),
            nice: Cell::new(0),
            started_ns: kernel.timers.now(),
            cpu_ns: Cell::new(0),
            execed: Cell::new(false),
        }
    }
}

/// Makes process 1, which is the kernel's own and reaps orphans, and its first child, which leads a session.
pub(crate) fn first_task(kernel: &Rc<Kernel>, boot: &Boot, guest: Rc<dyn RealTask>) -> Rc<Task> {
    let (Some(init), Some(tid)) = (Tid::new(1), Tid::new(2)) else { unreachable!("1 and 2 are ids") };
    let process = Rc::new(Process::new(kernel, Pid::from(tid)));
    *process.exe.borrow_mut() = boot.exe.clone();
    *process.credentials.borrow_mut() = boot.credentials.clone();
    process.execed.set(true);
    let task = Rc::new(Task { mm: Cell::new(kernel.new_mm()), ..Task::new(tid, process.clone(), guest) });
    // Linux named it after the path that it was started by, which may be a link to the program.
    let name = task.guest.proc_file("comm").unwrap_or_default();
    task.set_comm_from(if name.is_empty() { &boot.exe } else { name.trim_ascii_end() });
    process.tasks.borrow_mut().push(task.clone());
    kernel.tasks.borrow_mut().insert(tid, task.clone());
    kernel.processes.borrow_mut().insert(process.pid, process);
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
    crate::syscall::exec::hold_executable(&cx);
    crate::tty::stream::install_standard(&cx);
    kernel.scheduler.admit(&task);
    task
}
