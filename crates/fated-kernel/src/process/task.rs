//! One thread of a guest, and what it has of its own.
//!
//! Invariants: relations between tasks and processes (parent, group, session, tracer, who waits for whom) are fated-wait's alone
//! ([`crate::process::family`]). A task belongs to one thread group all its life.

use crate::arch::Call;
use crate::fs::file::Files;
use crate::fs::fs_struct::FsStruct;
use crate::host::Kernel;
use crate::id::Tid;
pub use crate::mm::MmId;
use crate::outcome::Waiting;
use crate::ports::RealTask;
pub use crate::process::credentials::Credentials;
use crate::process::settings::TimerSlack;
pub use crate::process::thread_group::Process;
use crate::sched::Rest;
use crate::sched::attributes::Attributes;
use crate::sched::entity::{Entity, Scheduled};
use crate::signal::{Actions, Pending, SigSet};
use crate::time::polling::Readings;
use alloc::{
    rc::{Rc, Weak},
    string::String,
    vec::Vec,
};
use core::cell::{Cell, RefCell};
use core::fmt;
use fated_wait::Usage;

/// One thread of a guest.
pub struct Task {
    /// Its id. It changes only when a thread that isn't the leader calls exec.
    pub tid: Cell<Tid>,
    /// Its thread group.
    pub process: Rc<Process>,
    /// The kernel of its host.
    pub(crate) kernel: Weak<Kernel>,
    /// The real task behind it.
    pub guest: Rc<dyn RealTask>,
    /// The future of the call that it is in, if that call waits.
    pub(crate) work: RefCell<Option<Waiting>>,
    /// With a log: the call that it is in and its arguments, as they were when the call was made.
    pub(crate) logged: RefCell<Option<(Call, Vec<String>)>>,
    /// Its state, as the scheduler sees it.
    pub(crate) rest: Cell<Rest>,
    /// It continues without another task in between, and the real Linux may still have to carry out the call that it is in. Until that
    /// is done it neither yields nor takes signals, because the call has its place in the order of events.
    pub(crate) passing: Cell<bool>,
    /// Its turn ends with the call that it is in. That call has been counted.
    pub(crate) turn_over: Cell<bool>,
    /// The latest of its calls that didn't return a value at once.
    pub call: Cell<Call>,
    /// The error with which that call was interrupted, until signals have been handled.
    pub(crate) interrupted: Cell<Option<crate::errno::Errno>>,
    /// What restart_syscall(2) resumes: the call and its deadline.
    pub(crate) restart: Cell<Option<(Call, u64)>>,
    /// Pending signals that were sent to this task alone.
    pub pending: Pending,
    /// The signals that it blocks.
    pub mask: Cell<SigSet>,
    /// The mask that sigsuspend(2) and the like restore.
    pub saved_mask: Cell<Option<SigSet>>,
    /// The signals that sigtimedwait(2) waits for.
    pub(crate) sigwait: Cell<SigSet>,
    /// The last fault, which signal frames report: trap number, error code, address of the last page fault.
    pub(crate) fault: Cell<(u64, u64, u64)>,
    /// The alternate signal stack.
    pub altstack: Cell<AltStack>,
    /// Its signal actions. A process shares them; with CLONE_SIGHAND several processes do.
    pub actions: RefCell<Rc<RefCell<Actions>>>,
    /// Its descriptors. The tasks of a process usually share them.
    pub files: RefCell<Rc<Files>>,
    /// Its working directory and umask; shared with `CLONE_FS`.
    pub fs: RefCell<Rc<FsStruct>>,
    /// The address space.
    pub mm: Cell<MmId>,
    /// The address to which it writes its id when it first runs (`CLONE_CHILD_SETTID`), or 0.
    pub(crate) set_child_tid: Cell<u64>,
    /// The address of the word that is zeroed and woken when it ends (set_tid_address(2)), or 0.
    pub clear_child_tid: Cell<u64>,
    /// The address of its list of robust futexes (get_robust_list(2)), or 0.
    pub robust_list: Cell<u64>,
    /// Its name (`PR_SET_NAME`).
    pub comm: Cell<[u8; 16]>,
    /// What the run queue knows of it.
    pub(crate) entity: Entity,
    /// What it asked for about its scheduling.
    pub(crate) attributes: Cell<Attributes>,
    /// The virtual CPU time that it has used.
    pub cpu_ns: Cell<u64>,
    /// Its page faults and context switches.
    pub(crate) counts: RefCell<Usage>,
    /// Its timer slack, which moves no timer.
    pub(crate) timer_slack: Cell<TimerSlack>,
    /// Its latest readings of a clock.
    pub(crate) readings: Cell<Readings>,
    /// A signal has stopped it. It doesn't run until it is continued.
    pub halted: Cell<bool>,
    /// It would run if it were not halted.
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

impl Task {
    /// A task that has nothing of its own yet.
    pub(crate) fn new(kernel: &Rc<Kernel>, tid: Tid, process: Rc<Process>, guest: Rc<dyn RealTask>) -> Task {
        Task {
            tid: Cell::new(tid),
            process,
            kernel: Rc::downgrade(kernel),
            guest,
            work: RefCell::default(),
            rest: Cell::new(Rest::Ready),
            logged: RefCell::default(),
            passing: Cell::new(false),
            turn_over: Cell::new(false),
            call: Cell::new(Call { number: 0, args: [0; 6] }),
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
            fs: RefCell::default(),
            mm: Cell::new(MmId(0)),
            set_child_tid: Cell::new(0),
            clear_child_tid: Cell::new(0),
            robust_list: Cell::new(0),
            comm: Cell::new([0; 16]),
            entity: Entity::default(),
            attributes: Cell::default(),
            cpu_ns: Cell::new(0),
            counts: RefCell::default(),
            timer_slack: Cell::default(),
            readings: Cell::default(),
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

    /// All signals that are pending for it, sent to it or to its process.
    #[must_use]
    pub fn pending_set(&self) -> SigSet {
        self.pending.set().with(self.process.pending.set())
    }

    /// The pending signals that it doesn't block.
    #[must_use]
    pub fn deliverable(&self) -> SigSet {
        self.pending_set().without(self.mask.get())
    }

    /// Whether signals have to be handled before it runs guest code.
    pub(crate) fn looks_at_signals(&self) -> bool {
        (self.interrupted.get().is_some() | self.saved_mask.get().is_some()) || !self.deliverable().is_empty()
    }

    /// Whether it would continue at the end of a call, as far as this depends on the task itself.
    #[inline]
    pub(crate) fn is_undisturbed(&self) -> bool {
        self.rest.get() == Rest::Ready && !(self.halted.get() | self.turn_over.get()) && !self.looks_at_signals()
    }

    /// Sets the blocked signals. SIGKILL and SIGSTOP can't be blocked.
    pub fn set_mask(&self, mask: SigSet) {
        self.mask.set(mask.without(SigSet::UNBLOCKABLE));
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.rest.get() == Rest::Gone
    }
}
