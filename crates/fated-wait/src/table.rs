//! The family as plain data: tasks, processes and groups in slabs, linked by slot numbers, found by id.
//!
//! Invariants: a slot that is linked anywhere is live; every process has its leader's task until it is reaped;
//! lists are in Linux's order (children and threads: oldest first, tracees and group members: newest first).

mod list;

use crate::id::{Errno, Pgid, Pid, Sid, Signal, Tid};
use crate::report::ExitCode;
use crate::usage::Usage;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use list::Link;
pub(crate) use list::{Chain, List};

/// Index of a task in its slab; [`NONE`] stands for no task.
pub(crate) type Slot = u32;
pub(crate) const NONE: Slot = Slot::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Alive,
    Zombie,
    /// Being released: no wait finds it any more.
    Dead,
}

/// Whether a live task may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Running,
    Stopped,
    Trapped,
}

/// The job-control conditions of a thread that are still to take effect.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct JobControl {
    /// A group stop to join.
    pub stop: bool,
    /// Joining counts towards completing it.
    pub consume: bool,
    /// A stop trap to enter.
    pub trap: bool,
    /// A change of group stop to report by a stop trap (SEIZE).
    pub notify: bool,
    /// In a stop trap, hidden from the tracer until something happens (LISTEN).
    pub listening: bool,
    /// In an event-stop trap.
    pub event_stop: bool,
    /// In a signal-delivery-stop, or just out of one.
    pub delivery: bool,
    /// SIGCONT came since then: a stop signal that was taken before has no effect.
    pub cancelled: bool,
    /// The signal of the latest group stop.
    pub signal: Option<Signal>,
}

/// How a tracee is linked to its tracer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace {
    pub tracer: Slot,
    pub seized: bool,
    pub exitkill: bool,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub tid: Tid,
    pub group: u32,
    /// Place among the threads of the process.
    pub order: u64,
    pub life: Life,
    /// It exits and adopts no children any more.
    pub exiting: bool,
    pub exit_code: ExitCode,
    pub uid: u32,
    pub pdeath: Option<Signal>,
    pub usage: Usage,
    pub run: Run,
    pub job: JobControl,
    /// The exit code that a trapped task has to report; 0 once it is reported.
    pub trap_code: u32,
    pub trace: Option<Trace>,
    pub trace_seq: u64,
    /// Blocked in a wait.
    pub waiting: bool,
    pub children: List,
    pub tracees: List,
    links: [Link; 4],
}

/// Disposition of SIGCHLD in a process, as far as waiting goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigchldAction {
    /// SIG_IGN: no signal, and children reap themselves.
    pub ignore: bool,
    /// SA_NOCLDWAIT: children reap themselves.
    pub no_wait: bool,
    /// SA_NOCLDSTOP: no signal for stops and continues.
    pub no_stop: bool,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub leader: Slot,
    pub threads: List,
    /// Threads that have not begun to exit.
    pub live: u32,
    /// [`NONE`] for init.
    pub parent: Slot,
    /// The id of that thread's process, cached for a look-up in one step.
    pub parent_pid: Option<Pid>,
    /// Place among the children of the parent.
    pub child_seq: u64,
    pub exit_signal: Option<Signal>,
    /// How often the parent had called exec when this became its child.
    pub parent_execs: u32,
    pub execs: u32,
    pub forked_no_exec: bool,
    pub subreaper: bool,
    pub sigchld: SigchldAction,
    pub pgid: Pgid,
    pub sid: Sid,
    pub session_leader: bool,
    /// Fixed by exit_group, a fatal signal or the last thread.
    pub exit: Option<ExitCode>,
    /// Completely stopped.
    pub stopped: bool,
    /// Continued, and not yet reported.
    pub continued: bool,
    /// During a group stop: how many threads have not joined yet.
    pub stopping: u32,
    /// The stop signal to report; `None` if it was reported.
    pub stop_signal: Option<Signal>,
    /// SIGCONT came, and the first thread that runs reports a continue, or a stop, to the parent.
    pub tell: Option<Tell>,
    /// The thread whose exec waits for the others to die.
    pub exec: Slot,
    pub dead_usage: Usage,
    pub children_usage: Usage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    Continued,
    Stopped,
}

#[derive(Debug)]
pub(crate) struct Pgrp {
    pub members: List,
    pub sid: Sid,
    /// Members that are completely stopped.
    pub stopped: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    tasks: Vec<Task>,
    free_tasks: Vec<Slot>,
    groups: Vec<Group>,
    free_groups: Vec<u32>,
    /// Slot by tid.
    ids: Vec<Slot>,
    pub pgrps: BTreeMap<Pgid, Pgrp>,
    /// Number of processes by session.
    pub sessions: BTreeMap<Sid, u32>,
    /// The reaper of last resort: a thread of the first process.
    pub init: Option<Slot>,
    seq: u64,
}

impl Table {
    /// The next number in the total order of links.
    pub fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    pub fn task(&self, slot: Slot) -> &Task {
        &self.tasks[slot as usize]
    }

    pub fn task_mut(&mut self, slot: Slot) -> &mut Task {
        &mut self.tasks[slot as usize]
    }

    pub fn group(&self, slot: Slot) -> &Group {
        &self.groups[self.task(slot).group as usize]
    }

    pub fn group_mut(&mut self, slot: Slot) -> &mut Group {
        let group = self.task(slot).group;
        &mut self.groups[group as usize]
    }

    pub fn find(&self, tid: Tid) -> Option<Slot> {
        self.ids.get(tid.get() as usize).copied().filter(|&slot| slot != NONE)
    }

    /// The task, dead or alive.
    pub fn get(&self, tid: Tid) -> Result<Slot, Errno> {
        self.find(tid).ok_or(Errno::ESRCH)
    }

    /// The task, if it has not exited.
    pub fn alive(&self, tid: Tid) -> Result<Slot, Errno> {
        self.find(tid).filter(|&slot| self.task(slot).life == Life::Alive).ok_or(Errno::ESRCH)
    }

    /// The leader of the process `pid`.
    pub fn process(&self, pid: Pid) -> Result<Slot, Errno> {
        self.find(pid.into()).filter(|&slot| self.leads(slot)).ok_or(Errno::ESRCH)
    }

    pub fn set_id(&mut self, tid: Tid, slot: Slot) {
        let at = tid.get() as usize;
        if self.ids.len() <= at {
            self.ids.resize(at + 1, NONE);
        }
        self.ids[at] = slot;
    }

    /// Slots of all tasks by ascending id.
    pub fn all(&self) -> impl Iterator<Item = Slot> + '_ {
        self.ids.iter().copied().filter(|&slot| slot != NONE)
    }

    pub fn leads(&self, slot: Slot) -> bool {
        self.group(slot).leader == slot
    }

    pub fn leader(&self, slot: Slot) -> Slot {
        self.group(slot).leader
    }

    pub fn pid(&self, slot: Slot) -> Pid {
        self.task(self.leader(slot)).tid.into()
    }

    pub fn same_process(&self, a: Slot, b: Slot) -> bool {
        a != NONE && b != NONE && self.task(a).group == self.task(b).group
    }

    /// No thread but the leader is left, not even as a zombie.
    pub fn lone_leader(&self, slot: Slot) -> bool {
        self.leads(slot) && self.group(slot).threads.single()
    }

    /// The receiver of reports on the task: its tracer, or else its parent.
    pub fn reports_to(&self, slot: Slot) -> Slot {
        match self.task(slot).trace {
            Some(trace) => trace.tracer,
            None => self.group(slot).parent,
        }
    }

    /// Traced by a process that is not its parent.
    pub fn traced_by_other(&self, slot: Slot) -> bool {
        self.task(slot).trace.is_some_and(|trace| !self.same_process(trace.tracer, self.group(slot).parent))
    }

    /// The id names no thread, process group or session.
    pub fn id_unused(&self, tid: Tid) -> bool {
        let pid = Pid::from(tid);
        self.find(tid).is_none() && !self.pgrps.contains_key(&pid.into()) && !self.sessions.contains_key(&pid.into())
    }

    pub fn insert_group(&mut self, group: Group) -> u32 {
        match self.free_groups.pop() {
            Some(at) => {
                self.groups[at as usize] = group;
                at
            }
            None => {
                self.groups.push(group);
                (self.groups.len() - 1) as u32
            }
        }
    }

    pub fn insert_task(&mut self, tid: Tid, group: u32, uid: u32) -> Slot {
        let order = self.next_seq();
        let task = Task {
            tid,
            group,
            order,
            life: Life::Alive,
            exiting: false,
            exit_code: ExitCode::exited(0),
            uid,
            pdeath: None,
            usage: Usage::default(),
            run: Run::Running,
            job: JobControl::default(),
            trap_code: 0,
            trace: None,
            trace_seq: 0,
            waiting: false,
            children: List::EMPTY,
            tracees: List::EMPTY,
            links: [Link::NONE; 4],
        };
        let slot = match self.free_tasks.pop() {
            Some(slot) => {
                self.tasks[slot as usize] = task;
                slot
            }
            None => {
                self.tasks.push(task);
                (self.tasks.len() - 1) as Slot
            }
        };
        self.set_id(tid, slot);
        slot
    }

    /// Frees the task's slot; it must be unlinked already.
    pub fn remove_task(&mut self, slot: Slot) {
        let tid = self.task(slot).tid;
        self.set_id(tid, NONE);
        self.free_tasks.push(slot);
    }

    pub fn remove_group(&mut self, group: u32) {
        self.free_groups.push(group);
    }

    /// The threads of the process of `slot`, leader first.
    pub fn threads(&self, slot: Slot) -> impl Iterator<Item = Slot> + '_ {
        self.walk(Chain::Thread, self.group(slot).threads)
    }

    /// The thread of a process that adopts children: the first that is not exiting.
    pub fn living_thread(&self, slot: Slot) -> Option<Slot> {
        self.threads(slot).find(|&thread| !self.task(thread).exiting)
    }

    /// Usage of all threads of the process, dead ones included: RUSAGE_SELF.
    pub fn own_usage(&self, slot: Slot) -> Usage {
        let mut sum = self.group(slot).dead_usage;
        for thread in self.threads(slot) {
            sum.add(&self.task(thread).usage);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use crate::{Effects, ExitCode, Family, ForkFlags, Signal, Tid, Usage, WaitRequest};
    use alloc::format;

    /// Released tasks leave nothing in the table.
    #[test]
    fn slots_are_used_again() {
        let tid = |id| Tid::new(id).expect("an id");
        let (mut family, mut fx) = (Family::default(), Effects::new());
        family.init(tid(1)).expect("the first");
        let request = WaitRequest::wait4(-1, 0, family.pgid(tid(1)).expect("there")).expect("good");
        let thread = ForkFlags { thread: true, ..ForkFlags::default() };
        family.fork(tid(1), tid(3), thread, None, &mut fx).expect("free");
        family.fork(tid(1), tid(4), ForkFlags::default(), Some(Signal::SIGCHLD), &mut fx).expect("free");
        let mut index = None;
        for _ in 0..3 {
            let signal = Some(Signal::SIGCHLD);
            family.fork(tid(3), tid(2), ForkFlags::default(), signal, &mut fx).expect("free");
            family.setsid(tid(2), &mut fx).expect("may");
            family.seize(tid(3), tid(2), false, &mut fx).expect("may");
            family.block(tid(1), &request).expect("alive");
            family.exit_thread(tid(2), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
            family.unblock(tid(1));
            family.wait(tid(1), &request, &mut fx).expect("alive");
            let now = format!("{:?}", family.lookup).replace(|c: char| c.is_ascii_digit(), "");
            assert_eq!(index.get_or_insert(now.clone()), &now);
        }
        let table = &family.table;
        assert_eq!((table.tasks.len(), table.groups.len()), (4, 3));
        assert_eq!((table.pgrps.len(), table.sessions.len()), (1, 1));
        let index = index.unwrap_or_default();
        let counts = format!("{:?}", family.lookup).matches(&format!("counts: {:?}", [0; 12])).count();
        assert_eq!(counts, 2, "nothing is ready");
        assert_eq!(index.matches("Scope").count(), 2, "of all, and of the one group: {index}");
        assert_eq!(index.matches("Hopes").count(), 4, "each scope's, and that of the one thread with a child: {index}");
    }
}
