//! The state that all tasks of a run share: the table of tasks, what `cpuid` answers, counters, and notices for the user.
//!
//! Invariant: the table holds each task that may still run, under its id in the kernel.

use crate::ids::Ids;
use crate::process::Process;
use crate::tracee::Tracee;
use fated_engine::cpuid::Cpuid;
use fated_engine::notice::{Notice, Notices};
use fated_engine::sensitive::Sites;
use fated_engine::{Launch, vdso};
use fated_kernel::id::Tid;
use fated_kernel::ports::{Console, Trace};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The costs of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How often a task was run until it stopped.
    pub stops: u64,
    /// Calls that Linux carried out for the kernel. Each takes one more stop.
    pub natives: u64,
    /// Emulated `rdtsc`, `rdtscp` and `cpuid` instructions. They are included in `stops`.
    pub traps: u64,
}

/// The state that all tasks of a run share.
pub(crate) struct Shared {
    tasks: RefCell<BTreeMap<Tid, Rc<Tracee>>>,
    pub(crate) cpuid: Cpuid,
    /// Whether guests' text may be changed.
    pub(crate) rewrite: bool,
    /// The sensitive instructions of all files whose text has been mapped.
    pub(crate) sites: RefCell<Sites>,
    /// The ids with which fated looks at files.
    pub(crate) own_ids: Option<Ids>,
    /// The spin limit in clock ticks of processor time.
    pub(crate) spin_ticks: Option<u64>,
    /// Linux's vDSO in fated's own process. Its size is that of all processes; its address may differ.
    pub(crate) vdso: Option<vdso::Real>,
    pub(crate) console: Rc<dyn Console>,
    trace: Rc<dyn Trace>,
    stats: Cell<Stats>,
    /// Whether `cpuid` faults in guests.
    pub(crate) traps_cpuid: bool,
    notices: Notices,
    killed: Cell<Option<Tid>>,
}

impl Shared {
    pub(crate) fn new(launch: &Launch, found_before: &[u8], console: Rc<dyn Console>, trace: Rc<dyn Trace>) -> Shared {
        Shared {
            tasks: RefCell::default(),
            cpuid: Cpuid::new(launch.cpus),
            rewrite: launch.rewrite,
            sites: RefCell::new(Sites::remembering(found_before)),
            own_ids: Ids::own(),
            spin_ticks: launch.spin_limit.map(clock_ticks),
            vdso: std::fs::read("/proc/self/maps").ok().and_then(|maps| vdso::Real::find(&maps)),
            console,
            trace,
            stats: Cell::default(),
            traps_cpuid: launch.hides_processor(),
            notices: Notices::default(),
            killed: Cell::new(None),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats.get()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    pub(crate) fn add(&self, key: Tid, task: Rc<Tracee>) {
        self.tasks.borrow_mut().insert(key, task);
    }

    pub(crate) fn task(&self, key: Tid) -> Option<Rc<Tracee>> {
        self.tasks.borrow().get(&key).cloned()
    }

    pub(crate) fn remove(&self, key: Tid) -> Option<Rc<Tracee>> {
        self.tasks.borrow_mut().remove(&key)
    }

    pub(crate) fn remove_all(&self, process: &Process) {
        for key in process.keys() {
            self.remove(key);
        }
    }

    /// Renames task `old` to `new` after an exec, and removes the other tasks of its process.
    pub(crate) fn rename(&self, process: &Process, old: Tid, new: Tid) {
        let task = self.remove(old);
        self.remove_all(process);
        if let Some(task) = task {
            self.add(new, task);
        }
    }

    /// Gives the user a notice, once in a run.
    pub(crate) fn notice(&self, notice: Notice) {
        if let Some(line) = self.notices.first(notice) {
            self.trace.notice(line.into());
        }
    }

    /// Gives the user a line.
    pub(crate) fn tell(&self, line: String) {
        self.trace.notice(line);
    }

    /// Records that a task was killed from outside while it was stopped.
    pub(crate) fn note_killed(&self, key: Tid) {
        self.killed.set(Some(key));
    }

    /// Takes the task that [`Shared::note_killed`] has recorded.
    pub(crate) fn take_killed(&self) -> Option<Tid> {
        self.killed.take()
    }

    /// Ends all processes.
    pub(crate) fn kill_all(&self) {
        for task in self.tasks.take().values() {
            task.process.kill();
        }
    }
}

/// Converts a duration to clock ticks, the unit of `/proc/PID/stat`.
fn clock_ticks(limit: Duration) -> u64 {
    // SAFETY: takes a number.
    let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100);
    let ticks = limit.as_millis().saturating_mul(u128::from(per_second)) / 1000;
    u64::try_from(ticks).unwrap_or(u64::MAX).max(1)
}
