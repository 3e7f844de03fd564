//! Tasks and processes.
//!
//! Relations between them (parent, group, session, tracer, who waits for whom) are fated-wait's alone; here is what each has.

use crate::arch::Call;
use crate::fs::fdtable::Files;
use crate::fs::host::text_busy::Use;
use crate::id::{Pid, Tid};
use crate::outcome::Waiting;
use crate::ports::RealTask;
use crate::sched::Rest;
use crate::sched::attributes::Attributes;
use crate::sched::entity::{Entity, Scheduled};
use crate::sched::wait_queue::WaitQueue;
use crate::signal::{Actions, Pending, SigSet};
use crate::time::timer::ProcessTimers;
use alloc::{collections::BTreeMap, rc::Rc, string::String, vec::Vec};
use core::cell::{Cell, RefCell};
use core::fmt;

/// One thread of a guest.
pub struct Task {
    /// Its id. Only an exec by a thread that isn't the leader changes it.
    pub tid: Cell<Tid>,
    /// Its thread group.
    pub process: Rc<Process>,
    /// The engine's side.
    pub guest: Rc<dyn RealTask>,
    /// The call it is in, if that waits.
    pub(crate) work: RefCell<Option<Waiting>>,
    /// What a run that keeps a log will say of that call: as it was made, with its arguments.
    pub(crate) logged: RefCell<Option<(Call, Vec<String>)>>,
    /// Where the scheduler has it.
    pub(crate) rest: Cell<Rest>,
    /// It runs straight on behind the call it is in, which the real Linux may have yet to carry out: until then it neither
    /// yields nor takes signals, so that the call happens at its moment.
    pub(crate) passing: Cell<bool>,
    /// Its turn is over with the call it is in, which has been counted.
    pub(crate) turn_over: Cell<bool>,
    /// The call it made last that didn't return a value at once.
    pub call: Cell<Call>,
    /// How that call was interrupted, until signals have been looked at.
    pub(crate) interrupted: Cell<Option<crate::errno::Errno>>,
    /// What restart_syscall(2) goes on with: the call and its deadline.
    pub(crate) restart: Cell<Option<(Call, u64)>>,
    /// Signals sent to this task alone.
    pub pending: Pending,
    /// The signals it has blocked.
    pub mask: Cell<SigSet>,
    /// The mask to return to after sigsuspend(2) and its like.
    pub saved_mask: Cell<Option<SigSet>>,
    /// What sigtimedwait(2) waits for.
    pub(crate) sigwait: Cell<SigSet>,
    /// The fault that the next signal frame tells of: trap number, error code, address.
    pub(crate) fault: Cell<(u64, u64, u64)>,
    /// The alternate signal stack.
    pub altstack: Cell<AltStack>,
    /// What it does about signals; shared by its process (and more, with CLONE_SIGHAND).
    pub actions: RefCell<Rc<RefCell<Actions>>>,
    /// Its descriptors; shared by its process as a rule.
    pub files: RefCell<Rc<Files>>,
    /// The address space.
    pub mm: Cell<MmId>,
    /// Where it writes its id when it first runs (`CLONE_CHILD_SETTID`), or 0.
    pub(crate) set_child_tid: Cell<u64>,
    /// Zeroed and woken when it ends (set_tid_address(2)).
    pub clear_child_tid: Cell<u64>,
    /// The list of robust futexes (get_robust_list(2)).
    pub robust_list: Cell<u64>,
    /// Its name (PR_SET_NAME).
    pub comm: Cell<[u8; 16]>,
    /// What the run queue knows of it.
    pub(crate) entity: Entity,
    /// What it asked for about its scheduling.
    pub(crate) attributes: Cell<Attributes>,
    /// Virtual time it has used.
    pub cpu_ns: Cell<u64>,
    /// Stopped by a signal: it doesn't run until it is continued.
    pub halted: Cell<bool>,
    /// It would run if it weren't halted.
    pub(crate) parked: Cell<bool>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({})", self.tid.get())
    }
}

impl Scheduled for Task {
    fn entity(&self) -> &Entity {
        &self.entity
    }
}

/// Names an address space. Tasks that share memory have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MmId(pub u64);

/// `stack_t` of sigaltstack(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AltStack {
    /// Its lowest address.
    pub base: u64,
    /// `SS_DISABLE`, `SS_AUTODISARM`.
    pub flags: u32,
    /// Its size.
    pub size: u64,
}

/// A limit of getrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The soft limit.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

/// Who a process is (credentials(7)). Bookkeeping alone: files keep the real user's rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective and saved user.
    pub uid: [u32; 3],
    /// Real, effective and saved group.
    pub gid: [u32; 3],
    /// The supplementary groups.
    pub groups: Vec<u32>,
}

/// A thread group.
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// Its living tasks in the order of their making.
    pub tasks: RefCell<Vec<Rc<Task>>>,
    /// Signals sent to the process.
    pub pending: Pending,
    /// Told when a signal becomes pending (signalfd).
    pub signalled: WaitQueue,
    /// The process dies: none of its tasks makes another call.
    pub(crate) dying: Cell<bool>,
    /// Woken when its last task has ended.
    pub ended: WaitQueue,
    /// Woken when a vfork child execs or ends.
    pub(crate) released: WaitQueue,
    /// Whether it still borrows its parent's memory.
    pub(crate) borrowing: Cell<bool>,
    /// alarm(2), setitimer(2), timer_create(2).
    pub(crate) timers: ProcessTimers,
    /// Limits by number.
    pub limits: RefCell<[Limit; 16]>,
    /// The user.
    pub credentials: RefCell<Credentials>,
    /// The path of its program.
    pub exe: RefCell<Vec<u8>>,
    /// Keeps others from writing to that program's file.
    pub(crate) executable: RefCell<Option<Rc<Use>>>,
    /// Attributes of prctl(2) that are kept and have no other effect.
    pub attributes: RefCell<BTreeMap<u32, u64>>,
    /// The nice value.
    pub nice: Cell<i32>,
    /// Virtual time it was made at.
    pub started_ns: u64,
    /// Virtual time that its ended tasks have used.
    pub cpu_ns: Cell<u64>,
    /// Whether it has called exec.
    pub execed: Cell<bool>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({})", self.pid)
    }
}

impl Process {
    /// Virtual time that all its tasks have used.
    #[must_use]
    pub fn total_cpu_ns(&self) -> u64 {
        self.cpu_ns.get() + self.tasks.borrow().iter().map(|t| t.cpu_ns.get()).sum::<u64>()
    }

    /// The oldest living task.
    #[must_use]
    pub fn first_task(&self) -> Option<Rc<Task>> {
        self.tasks.borrow().first().cloned()
    }
}

impl Task {
    /// Everything pending for it.
    #[must_use]
    pub fn pending_set(&self) -> SigSet {
        self.pending.set().with(self.process.pending.set())
    }

    /// What of that isn't blocked.
    #[must_use]
    pub fn deliverable(&self) -> SigSet {
        self.pending_set().without(self.mask.get())
    }

    /// Whether anything is to be done about signals before it runs guest code.
    pub(crate) fn looks_at_signals(&self) -> bool {
        (self.interrupted.get().is_some() | self.saved_mask.get().is_some()) || !self.deliverable().is_empty()
    }

    /// Whether it would run on at the end of a call, whatever else there is.
    #[inline]
    pub(crate) fn is_undisturbed(&self) -> bool {
        self.rest.get() == Rest::Ready && !(self.halted.get() | self.turn_over.get()) && !self.looks_at_signals()
    }

    /// Sets the blocked signals; the unblockable ones never are.
    pub fn set_mask(&self, mask: SigSet) {
        self.mask.set(mask.without(SigSet::UNBLOCKABLE));
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.rest.get() == Rest::Gone
    }
}
