//! A tiny kernel around a family: it carries out acts and what follows from them.
//!
//! It is the model that stories run on. `real` keeps a story to what real processes can act out so that the outcome
//! does not depend on timing; otherwise anything goes, as long as nothing panics.

use super::story::{Act, Exits, Role, Wait, Whom};
use fated_wait::*;
use std::collections::{BTreeMap, VecDeque};

/// A place in the cast: roles are handed out in the order of forking.
pub type Label = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody could do it.
    Skipped,
    Done,
    Failed(Errno),
    /// A new task.
    Forked(Label),
    /// A wait has blocked.
    Blocked,
    /// A wait with WNOHANG found nothing.
    Nothing,
    Waited(Answer),
    Signal(Option<(i32, Label, i32)>),
    /// A signal of which the cause may be one of several.
    SomeSignal,
}

/// The arguments of a wait as numbers, the same however often the call is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawWait {
    pub waitid: bool,
    /// `P_*`; wait4 says the same by signs.
    pub idtype: u32,
    pub id: u32,
    pub options: u32,
}

/// A report as its reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Wait4 { who: Label, status: u32 },
    Waitid { who: Label, code: i32, status: i32 },
}

#[derive(Clone, Debug)]
struct Actor {
    tid: Tid,
    sigstop: bool,
    blocked: Option<(RawWait, WaitRequest)>,
    execing: bool,
}

/// One act, carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub act: Option<Concrete>,
    pub outcome: Outcome,
    /// Waits that came to an end in the course of it.
    pub completed: Vec<(Label, Outcome)>,
    pub effects: Vec<Effects>,
    /// Real tasks might come out of it otherwise: who was woken first had a choice.
    pub open: bool,
}

/// An act with its roles cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concrete {
    pub act: Act,
    pub by: Label,
    pub target: Label,
    pub to: Label,
    /// The target's number at that time.
    pub it: Tid,
    /// The group number for setpgid, 0 for the caller's own.
    pub pgid: u32,
    pub wait: Option<RawWait>,
}

pub struct World {
    pub family: Family,
    real: bool,
    cast: Vec<Actor>,
    /// The role that has a number, or had it last.
    roles: BTreeMap<Tid, Label>,
    /// Pending SIGCHLD of each process; none if it is one of several that came at once.
    sigchld: BTreeMap<Pid, Option<SigInfo>>,
    /// SIGCHLDs of the present act.
    came: BTreeMap<Pid, u32>,
    open: bool,
    queue: VecDeque<Effects>,
    completed: Vec<(Label, Outcome)>,
    log: Vec<Effects>,
}

const MOST_ACTORS: usize = 16;

impl World {
    /// Init, and below it the first role, a subreaper and session leader.
    pub fn new(kind: LookupKind, real: bool) -> Self {
        let mut family = Family::new(kind);
        let (init, first) = (tid(1), tid(2));
        let mut fx = Effects::new();
        family.init(init).expect("the first");
        family.fork(init, first, ForkFlags::default(), Some(Signal::SIGCHLD), &mut fx).expect("free");
        family.setsid(first, &mut fx).expect("may lead");
        family.set_subreaper(first.into(), true).expect("alive");
        let cast = vec![Actor { tid: first, sigstop: false, blocked: None, execing: false }];
        let (sigchld, queue) = (BTreeMap::new(), VecDeque::new());
        let (completed, log, came) = (Vec::new(), Vec::new(), BTreeMap::new());
        let roles = BTreeMap::from([(first, 0)]);
        Self { family, real, cast, roles, sigchld, came, open: false, queue, completed, log }
    }

    pub fn size(&self) -> usize {
        self.cast.len()
    }

    pub fn tid(&self, label: Label) -> Tid {
        self.cast[label].tid
    }

    pub fn pid(&self, label: Label) -> Option<Pid> {
        self.family.pid(self.tid(label))
    }

    /// What /proc should say; `None` if the task is gone.
    pub fn state(&self, label: Label) -> Option<TaskState> {
        // After an exec by another thread the leader's id belongs to that thread.
        let owner = self.label(self.tid(label));
        if owner == label { self.family.state(self.tid(label)) } else { None }
    }

    pub fn blocked(&self, label: Label) -> Option<RawWait> {
        self.cast[label].blocked.map(|(wait, _)| wait)
    }

    /// Its exec waits for a tracer to reap the other threads.
    pub fn execing(&self, label: Label) -> bool {
        self.cast[label].execing
    }

    pub fn label(&self, tid: Tid) -> Label {
        self.roles.get(&tid).copied().unwrap_or(usize::MAX)
    }

    /// Init dies.
    pub fn end_init(&mut self) -> Done {
        let mut fx = Effects::new();
        let result = self.family.exit_thread(tid(1), ExitCode::exited(0), Usage::default(), &mut fx);
        self.queue.push_back(fx);
        let outcome = result.map_or_else(Outcome::Failed, |()| Outcome::Done);
        self.finish(None, outcome)
    }

    /// The number of the process that a task is or was in.
    pub fn leader_of(&self, tid: Tid) -> u32 {
        self.family.pid(tid).map_or(tid.get(), Pid::get)
    }

    /// Plays an act with the roles that its user has chosen.
    pub fn play_as(&mut self, act: Act, by: Label, target: Label) -> Done {
        let concrete = self.concrete(act, by, target, target);
        self.carry_out(Some(concrete))
    }

    pub fn play(&mut self, act: Act) -> Done {
        let cast = self.cast(act);
        self.carry_out(cast)
    }

    fn carry_out(&mut self, cast: Option<Concrete>) -> Done {
        let (act, outcome) = match cast {
            Some(concrete) => (Some(concrete), self.perform(concrete)),
            None => (None, Outcome::Skipped),
        };
        self.finish(act, outcome)
    }

    fn finish(&mut self, act: Option<Concrete>, outcome: Outcome) -> Done {
        self.drain();
        self.came.clear();
        let (completed, effects) = (std::mem::take(&mut self.completed), std::mem::take(&mut self.log));
        Done { act, outcome, completed, effects, open: std::mem::take(&mut self.open) }
    }

    /// Chooses who plays, or nobody.
    fn cast(&self, act: Act) -> Option<Concrete> {
        let (by, target, to) = match act {
            Act::Setpgid { by, target, to } => (by, target, to.unwrap_or(target)),
            Act::Attach { by, target }
            | Act::Seize { by, target, .. }
            | Act::Interrupt { by, target }
            | Act::Listen { by, target }
            | Act::Cont { by, target, .. }
            | Act::Detach { by, target, .. }
            | Act::TraceKill { by, target } => (by, target, 0),
            Act::Wait { by, wait } => match wait.whom {
                Whom::Task(target) | Whom::GroupOf(target) => (by, target, 0),
                _ => (by, by, 0),
            },
            Act::Kill { target } | Act::Stop { target } | Act::Continue { target } => (0, target, 0),
            Act::TraceStop { target, .. } => (target, target, 0),
            Act::Fork { by, .. }
            | Act::Exit { by, .. }
            | Act::Setsid { by }
            | Act::Subreaper { by, .. }
            | Act::Sigchld { by, .. }
            | Act::Pdeath { by, .. }
            | Act::Exec { by }
            | Act::Traceme { by }
            | Act::Usage { by, .. }
            | Act::TakeSigchld { by } => (by, by, 0),
        };
        let living: Vec<Label> =
            (0..self.size()).filter(|&label| self.state(label).is_some_and(|s| s != TaskState::Zombie)).collect();
        let pick = |role: Role| match role & 7 {
            // One in eight picks may be dead.
            7 => usize::from(role) % self.size(),
            _ => living.get(usize::from(role >> 3) % living.len().max(1)).copied().unwrap_or(0),
        };
        let (mut by, mut target, to) = (pick(by), pick(target), pick(to));
        let on_tracee = matches!(
            act,
            Act::Interrupt { .. } | Act::Listen { .. } | Act::Cont { .. } | Act::Detach { .. } | Act::TraceKill { .. }
        );
        if on_tracee && to % 2 == 0 {
            // Tracers are few: look for one, lest nearly all of these acts fail.
            let traced: Vec<Label> =
                (0..self.size()).filter(|&label| self.family.trace(self.tid(label)).is_some()).collect();
            if !traced.is_empty() {
                target = traced[target % traced.len()];
                by = self.label(self.family.trace(self.tid(target)).expect("traced").tracer).min(self.size() - 1);
            }
        }
        let concrete = self.concrete(act, by, target, to);
        (!self.real || self.realizable(&concrete)).then_some(concrete)
    }

    fn concrete(&self, act: Act, by: Label, target: Label, to: Label) -> Concrete {
        let it = self.tid(target);
        let pgid = |label| self.family.pgid(self.tid(label)).map_or(it.get(), Pgid::get);
        let group = matches!(act, Act::Setpgid { to: Some(_), .. });
        let wait = match act {
            Act::Wait { wait, .. } => Some(raw(wait, it.get(), pgid(target))),
            _ => None,
        };
        let pgid = if group { pgid(to) } else { 0 };
        Concrete { act, by, target, to, it, pgid, wait }
    }

    /// Real processes can do it, and its outcome does not depend on timing.
    fn realizable(&self, concrete: &Concrete) -> bool {
        let Concrete { act, by, target, to, .. } = *concrete;
        let free = |label: Label| {
            let actor = &self.cast[label];
            self.state(label) == Some(TaskState::Running) && actor.blocked.is_none() && !actor.execing
        };
        let sends = matches!(act, Act::Kill { .. } | Act::Stop { .. } | Act::Continue { .. });
        if !sends && !free(by) {
            return false;
        }
        // Natively there is no way back to a number once its task is gone.
        if self.state(target).is_none() || self.state(to).is_none() {
            return false;
        }
        match act {
            Act::TraceStop { .. } | Act::Usage { .. } | Act::Pdeath { .. } => false,
            Act::Fork { ptrace, signal, thread, .. } => {
                !ptrace && self.size() < MOST_ACTORS && (thread || signal != Some(Signal::SIGSTOP))
            }
            // The first process outlives the story, and nobody stops or traces it.
            Act::Exit { how: Exits::Thread, .. } => {
                let exitkill = |tracee| self.family.trace(tracee).is_some_and(|trace| trace.exitkill);
                self.pid(by) != self.pid(0) && !self.family.tracees(self.tid(by)).any(exitkill)
            }
            Act::Exit { how: Exits::Process, .. } | Act::Exec { .. } => {
                self.pid(by) != self.pid(0) && self.dies_in_order(by)
            }
            Act::Kill { .. } => self.pid(target) != self.pid(0) && self.dies_in_order(target),
            Act::Stop { .. } => self.pid(target) != self.pid(0) && self.state(target) != Some(TaskState::Zombie),
            Act::Continue { .. } => self.family.live_threads(self.pid(target).expect("there")) > 0,
            Act::Attach { .. } | Act::Seize { .. } => {
                // An exec keeps a new tracer out until it is complete.
                let pid = self.pid(target);
                let execing = (0..self.size()).any(|label| self.cast[label].execing && self.pid(label) == pid);
                pid != self.pid(0) && !execing
            }
            Act::TraceKill { .. } => self.pid(target).is_some_and(|_| self.dies_in_order(target)),
            Act::Traceme { .. } => self.pid(by) != self.pid(0),
            Act::Wait { wait, .. } => {
                // Of two that block in one process either may win.
                let pid = self.pid(by);
                // A pidfd of a thread is another matter.
                if wait.pidfd && self.pid(target).map(Tid::from) != Some(self.tid(target)) {
                    return false;
                }
                wait.options & WNOHANG != 0
                    || !(0..self.size()).any(|other| self.cast[other].blocked.is_some() && self.pid(other) == pid)
            }
            _ => true,
        }
    }

    /// The threads of a process die at the same time. The order matters if several have children.
    fn dies_in_order(&self, label: Label) -> bool {
        let Some(pid) = self.pid(label) else { return true };
        let fertile = |tid: &Tid| self.family.children(*tid).next().is_some();
        self.family.threads(pid).filter(fertile).count() < 2
            // An exitkill tracee dies with its tracer.
            && self.family.threads(pid).all(|tid| {
                self.family.tracees(tid).all(|tracee| !self.family.trace(tracee).is_some_and(|t| t.exitkill))
            })
    }

    fn perform(&mut self, concrete: Concrete) -> Outcome {
        let Concrete { act, by, target, pgid, .. } = concrete;
        let (me, it) = (self.tid(by), self.tid(target));
        let mut fx = Effects::new();
        let result = match act {
            Act::Fork { thread, parent, ptrace, signal, .. } => {
                let flags = ForkFlags { thread, parent, ptrace };
                let child = self.next_tid();
                match self.family.fork(me, child, flags, signal, &mut fx) {
                    Ok(()) => {
                        self.roles.insert(child, self.cast.len());
                        self.cast.push(Actor { tid: child, sigstop: false, blocked: None, execing: false });
                        self.queue.push_back(fx);
                        return Outcome::Forked(self.size() - 1);
                    }
                    Err(error) => Err(error),
                }
            }
            Act::Exit { code, how: Exits::Thread, .. } => {
                let code = ExitCode::exited(code.into());
                self.family.exit_thread(me, code, self.usage(me), &mut fx)
            }
            Act::Exit { code, how: Exits::Process, .. } => match self.pid(by) {
                Some(pid) => self.end(pid, ExitCode::exited(code.into()), &mut fx),
                None => Err(Errno::ESRCH),
            },
            Act::Kill { .. } => match self.pid(target) {
                Some(pid) => self.kill(pid, &mut fx),
                None => Err(Errno::ESRCH),
            },
            Act::Stop { .. } => self.sigstop(it, &mut fx),
            Act::Continue { .. } => match self.pid(target) {
                Some(pid) => self.sigcont(pid, &mut fx),
                None => Err(Errno::ESRCH),
            },
            Act::Setpgid { .. } => self.family.setpgid(me, Some(it.into()), Pgid::new(pgid), &mut fx),
            Act::Setsid { .. } => self.family.setsid(me, &mut fx).map(drop),
            Act::Subreaper { on, .. } => match self.pid(by) {
                Some(pid) => self.family.set_subreaper(pid, on),
                None => Err(Errno::ESRCH),
            },
            Act::Sigchld { action, .. } => match self.pid(by) {
                Some(pid) => {
                    // Setting an action that ignores the signal flushes it.
                    self.sigchld.remove(&pid);
                    self.family.set_sigchld(pid, action)
                }
                None => Err(Errno::ESRCH),
            },
            Act::Pdeath { signal, .. } => self.family.set_pdeathsig(me, signal),
            Act::Exec { .. } => {
                let result = self.family.exec(me, &mut fx);
                self.cast[by].execing = result.is_ok();
                result
            }
            Act::Traceme { .. } => self.family.traceme(me),
            Act::Attach { .. } => self.family.attach(me, it, &mut fx),
            Act::Seize { exitkill, .. } => self.family.seize(me, it, exitkill, &mut fx),
            Act::Interrupt { .. } => self.family.interrupt(me, it, &mut fx),
            Act::Listen { .. } => self.family.listen(me, it, &mut fx),
            Act::Cont { stop, .. } => {
                let signal = stop.then_some(Signal::SIGSTOP);
                let result = self.family.cont(me, it, signal, &mut fx);
                self.resumed_with(it, signal.filter(|_| result.is_ok()), &mut fx);
                result
            }
            Act::Detach { stop, .. } => {
                let signal = stop.then_some(Signal::SIGSTOP);
                let result = self.family.detach(me, it, signal, &mut fx);
                self.resumed_with(it, signal.filter(|_| result.is_ok()), &mut fx);
                result
            }
            Act::TraceKill { .. } => self.family.kill(me, it, &mut fx),
            Act::TraceStop { stop, .. } => self.family.trace_stop(it, stop, &mut fx).map(drop),
            Act::Usage { units, .. } => {
                let usage = Usage { utime_ns: u64::from(units) * 10_000_000, minflt: 1, ..Usage::default() };
                self.family.set_usage(me, usage)
            }
            Act::Wait { .. } => return self.wait(by, concrete.wait.expect("cast with it")),
            Act::TakeSigchld { .. } => {
                let info = self.pid(by).and_then(|pid| self.sigchld.remove(&pid));
                let label = |pid| Tid::new(pid).map_or(usize::MAX, |tid| self.label(tid));
                return match info {
                    Some(None) => Outcome::SomeSignal,
                    Some(Some(info)) => Outcome::Signal(Some((info.code, label(info.pid), info.status))),
                    None => Outcome::Signal(None),
                };
            }
        };
        self.queue.push_back(fx);
        match result {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Really new ids for real processes, else the lowest that is free, so that ids come round.
    fn next_tid(&self) -> Tid {
        if self.real {
            return tid(self.size() as u32 + 2);
        }
        (1..).map(tid).find(|&tid| self.family.is_free(tid)).expect("one is free")
    }

    fn usage(&self, tid: Tid) -> Usage {
        self.family.thread_usage(tid).unwrap_or_default()
    }

    /// Fixes the code of a process and has its threads exit.
    fn end(&mut self, pid: Pid, code: ExitCode, fx: &mut Effects) -> Result<(), Errno> {
        if self.family.live_threads(pid) == 0 {
            return Err(Errno::ESRCH);
        }
        self.family.set_group_exit(pid, code, fx)?;
        let code = self.family.group_exit(pid).unwrap_or(code);
        let threads: Vec<Tid> = self.family.threads(pid).collect();
        for tid in threads {
            if self.family.state(tid).is_some_and(|state| state != TaskState::Zombie) {
                self.family.exit_thread(tid, code, self.usage(tid), fx)?;
            }
        }
        Ok(())
    }

    fn kill(&mut self, pid: Pid, fx: &mut Effects) -> Result<(), Errno> {
        if self.family.live_threads(pid) == 0 {
            return Ok(());
        }
        self.end(pid, ExitCode::killed(Signal::SIGKILL, false), fx)
    }

    fn sigstop(&mut self, tid: Tid, fx: &mut Effects) -> Result<(), Errno> {
        let label = self.label(tid);
        let Some(actor) = self.cast.get_mut(label) else { return Ok(()) };
        actor.sigstop = true;
        self.deliver(label, fx);
        Ok(())
    }

    /// A thread that runs takes its pending SIGSTOP.
    fn deliver(&mut self, label: Label, fx: &mut Effects) {
        let tid = self.tid(label);
        if self.family.state(tid) != Some(TaskState::Running) || !std::mem::take(&mut self.cast[label].sigstop) {
            return;
        }
        if self.family.trace(tid).is_some() {
            self.family.trace_stop(tid, TraceStop::Signal(Signal::SIGSTOP), fx).expect("runs");
        } else {
            self.family.stop_group(tid, Signal::SIGSTOP, fx).expect("runs");
        }
    }

    fn sigcont(&mut self, pid: Pid, fx: &mut Effects) -> Result<(), Errno> {
        let threads: Vec<Tid> = self.family.threads(pid).collect();
        for tid in threads {
            let label = self.label(tid);
            if let Some(actor) = self.cast.get_mut(label) {
                actor.sigstop = false;
            }
        }
        self.family.continue_group(pid, fx)
    }

    /// A tracee runs again with a signal: it stops its process if it was at taking one.
    fn resumed_with(&mut self, tid: Tid, signal: Option<Signal>, fx: &mut Effects) {
        if let Some(signal) = signal
            && self.family.state(tid) == Some(TaskState::Running)
        {
            if self.family.takes_signal(tid) {
                self.family.stop_group(tid, signal, fx).expect("runs");
            }
            if self.family.state(tid) == Some(TaskState::Running) {
                self.family.settle(tid, fx).expect("alive");
            }
        }
    }

    fn wait(&mut self, by: Label, wait: RawWait) -> Outcome {
        let Some(own) = self.family.pgid(self.tid(by)) else { return Outcome::Failed(Errno::ESRCH) };
        match request(own, wait) {
            Ok(request) => self.wait_for(by, wait, request),
            Err(error) => Outcome::Failed(error),
        }
    }

    fn wait_for(&mut self, by: Label, wait: RawWait, request: WaitRequest) -> Outcome {
        let me = self.tid(by);
        let mut fx = Effects::new();
        let outcome = match self.family.wait(me, &request, &mut fx) {
            Err(error) => Outcome::Failed(error),
            Ok(WaitOutcome::NoChild) => Outcome::Failed(Errno::ECHILD),
            Ok(WaitOutcome::Found(report)) => {
                let who = self.label(report.tid);
                Outcome::Waited(if wait.waitid {
                    let info = report.siginfo();
                    Answer::Waitid { who, code: info.code, status: info.status }
                } else {
                    Answer::Wait4 { who, status: report.status() }
                })
            }
            Ok(WaitOutcome::WouldBlock) => match request.unready() {
                Some(Ok(())) => Outcome::Nothing,
                Some(Err(error)) => Outcome::Failed(error),
                None => {
                    self.family.block(me, &request).expect("alive");
                    self.cast[by].blocked = Some((wait, request));
                    Outcome::Blocked
                }
            },
        };
        self.queue.push_back(fx);
        outcome
    }

    /// Carries out what follows, and what follows from that.
    fn drain(&mut self) {
        while let Some(effects) = self.queue.pop_front() {
            if effects == Effects::new() {
                continue;
            }
            let mut turn = Turn { world: self, fx: Effects::new(), again: Vec::new() };
            effects.apply(&mut turn);
            let Turn { mut fx, again, .. } = turn;
            for (tid, restart) in again {
                let label = self.label(tid);
                if label < self.size() {
                    self.deliver(label, &mut fx);
                    self.retry(label, restart);
                }
            }
            self.log.push(effects);
            self.queue.push_back(fx);
        }
    }

    fn signal(&mut self, SignalSent { to, info }: SignalSent, fx: &mut Effects) {
        let signal = Signal::new(info.signo).expect("a signal");
        match to {
            Target::Thread(tid) if signal == Signal::SIGSTOP => drop(self.sigstop(tid, fx)),
            Target::Thread(tid) if signal == Signal::SIGKILL => {
                if let Some(pid) = self.family.pid(tid) {
                    let _ = self.kill(pid, fx);
                }
            }
            Target::Process(pid) if signal == Signal::SIGKILL => drop(self.kill(pid, fx)),
            Target::Process(pid) if signal == Signal::SIGCHLD => {
                // A signal that is pending is not queued again.
                let came = self.came.entry(pid).or_default();
                *came += 1;
                if *came == 1 {
                    self.sigchld.entry(pid).or_insert(Some(info));
                } else if self.sigchld.get(&pid) != Some(&None) {
                    self.sigchld.insert(pid, None);
                }
            }
            _ => {}
        }
    }

    /// A blocked thread that was woken looks again; one that was stopped meanwhile calls wait anew.
    fn retry(&mut self, label: Label, restart: bool) {
        let tid = self.tid(label);
        if self.family.state(tid) != Some(TaskState::Running) {
            return;
        }
        if let Some((wait, request)) = self.cast[label].blocked.take() {
            self.family.unblock(tid);
            let outcome = match restart {
                true => self.wait(label, wait),
                false => self.wait_for(label, wait, request),
            };
            if outcome != Outcome::Blocked {
                self.open |= matches!(outcome, Outcome::Waited(_)) && self.more(tid, request);
                self.completed.push((label, outcome));
            }
        }
    }

    /// The same wait would find something once more.
    fn more(&mut self, tid: Tid, request: WaitRequest) -> bool {
        let again = WaitRequest { options: request.options | WNOWAIT, ..request };
        matches!(self.family.wait(tid, &again, &mut Effects::new()), Ok(WaitOutcome::Found(_)))
    }
}

/// Carries out the effects of one event.
struct Turn<'a> {
    world: &'a mut World,
    /// What follows from that.
    fx: Effects,
    /// Who looks at its wait again, and whether it calls wait anew.
    again: Vec<(Tid, bool)>,
}

impl Owner for Turn<'_> {
    fn execed(&mut self, old: Tid, new: Pid) {
        let world = &mut *self.world;
        let label = world.label(old);
        if old != new.into() && label < world.size() {
            // The leader's role ends; its number lives on.
            let leader = world.label(new.into());
            let actor = world.cast[label].clone();
            if leader < world.size() {
                world.cast[leader].tid = tid(PID_MAX);
            }
            world.cast[label] = Actor { tid: new.into(), ..actor };
            world.roles.remove(&old);
            world.roles.insert(new.into(), label);
        }
        if let Some(actor) = world.cast.get_mut(label) {
            actor.execing = false;
        }
    }

    fn stopped(&mut self, _: Tid) {}

    fn resumed(&mut self, tid: Tid) {
        self.again.push((tid, true));
    }

    fn signal(&mut self, sent: &SignalSent) {
        self.world.signal(*sent, &mut self.fx);
    }

    fn taken(&mut self, tid: Tid, signal: Signal) {
        if signal == Signal::SIGSTOP {
            self.world.resumed_with(tid, Some(signal), &mut self.fx);
        } else if self.world.family.state(tid) == Some(TaskState::Running) {
            self.world.family.settle(tid, &mut self.fx).expect("alive");
        }
    }

    fn orphaned(&mut self, group: Pgid) {
        let members: Vec<Pid> = self.world.family.members(group).collect();
        for pid in members {
            let _ = self.world.sigcont(pid, &mut self.fx);
        }
    }

    fn wake(&mut self, tid: Tid) {
        self.again.push((tid, false));
    }

    fn freed(&mut self, _: Tid) {}
}

fn raw(wait: Wait, id: u32, pgid: u32) -> RawWait {
    let Wait { whom, waitid, options, pidfd } = wait;
    let (idtype, id) = match whom {
        Whom::Any => (P_ALL, 0),
        Whom::Task(_) if pidfd => (P_PIDFD, id),
        Whom::Task(_) => (P_PID, id),
        Whom::OwnGroup => (P_PGID, 0),
        Whom::GroupOf(_) => (P_PGID, pgid),
    };
    RawWait { waitid, idtype, id, options }
}

fn request(own: Pgid, wait: RawWait) -> Result<WaitRequest, Errno> {
    let id = wait.id as i32;
    if wait.waitid {
        let pidfd = |id| Ok(Pidfd { task: Tid::new(id as u32), nonblock: true });
        return WaitRequest::waitid(wait.idtype, id, wait.options, own, pidfd);
    }
    let pid = match wait.idtype {
        P_ALL => -1,
        P_PGID => -id,
        _ => id,
    };
    WaitRequest::wait4(pid, wait.options, own)
}

pub fn tid(id: u32) -> Tid {
    Tid::new(id).expect("an id")
}
