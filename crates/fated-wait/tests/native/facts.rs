//! Fourteen facts about waiting on Linux, each shown by real processes and by the crate at once.

use crate::common::story::{Act, Exits, Wait, Whom};
use crate::common::world::{Answer, Label, Outcome, World};
use crate::puppet;
use crate::stage::Stage;
use fated_wait::*;

/// The model and the real thing, in step.
struct Duo {
    world: World,
    stage: Stage,
}

use Outcome::{Blocked, Nothing};

const NO_CHILD: Outcome = Outcome::Failed(Errno::ECHILD);
const STOPPED: u32 = 19 << 8 | 0x7f;
const CONTINUED: u32 = 0xffff;
const KILLED: u32 = 9;
const EVENT_STOP: u32 = 128;

fn exited(code: u32) -> u32 {
    code << 8
}

/// The status word of a trace stop.
fn trapped(code: u32) -> u32 {
    code << 8 | 0x7f
}

fn status(who: Label, status: u32) -> Outcome {
    Outcome::Waited(Answer::Wait4 { who, status })
}

impl Duo {
    fn new(kind: LookupKind) -> Self {
        Self { world: World::new(kind, true), stage: Stage::new().expect("the stage opens") }
    }

    /// An act by `by` on `target`: model and reality agree, and the outcome is the expected one.
    #[track_caller]
    fn act(&mut self, act: Act, by: Label, target: Label, expected: Outcome, completed: &[(Label, Outcome)]) {
        let done = self.world.play_as(act, by, target);
        assert_eq!((done.outcome, &done.completed[..]), (expected, completed), "the model: {act:?}");
        if let Err(what) = self.stage.play(&self.world, &done) {
            panic!("the kernel: {act:?}: {what}");
        }
    }

    #[track_caller]
    fn done(&mut self, act: Act, by: Label, target: Label) {
        self.act(act, by, target, Outcome::Done, &[]);
    }

    #[track_caller]
    fn fork_with(&mut self, by: Label, thread: bool, signal: Option<Signal>) -> Label {
        let new = self.world.size();
        let act = Act::Fork { by: 0, thread, parent: false, ptrace: false, signal };
        self.act(act, by, by, Outcome::Forked(new), &[]);
        new
    }

    #[track_caller]
    fn fork(&mut self, by: Label) -> Label {
        self.fork_with(by, false, Some(Signal::SIGCHLD))
    }

    #[track_caller]
    fn thread(&mut self, by: Label) -> Label {
        self.fork_with(by, true, None)
    }

    #[track_caller]
    fn exit(&mut self, by: Label, code: u8) {
        self.exit_and(by, code, &[]);
    }

    #[track_caller]
    fn exit_and(&mut self, by: Label, code: u8, completed: &[(Label, Outcome)]) {
        self.act(Act::Exit { by: 0, code, how: Exits::Thread }, by, by, Outcome::Done, completed);
    }

    #[track_caller]
    fn stop(&mut self, target: Label) {
        self.done(Act::Stop { target: 0 }, 0, target);
    }

    #[track_caller]
    fn cont(&mut self, target: Label) {
        self.done(Act::Continue { target: 0 }, 0, target);
    }

    #[track_caller]
    fn kill(&mut self, target: Label) {
        self.done(Act::Kill { target: 0 }, 0, target);
    }

    #[track_caller]
    fn seize(&mut self, by: Label, target: Label) {
        self.done(Act::Seize { by: 0, target: 0, exitkill: false }, by, target);
    }

    #[track_caller]
    fn ptrace_cont(&mut self, by: Label, target: Label) {
        self.done(Act::Cont { by: 0, target: 0, stop: false }, by, target);
    }

    #[track_caller]
    fn wait(&mut self, by: Label, whom: Whom, target: Label, options: u32, expected: Outcome) {
        let wait = Wait { whom, waitid: false, options, pidfd: false };
        self.act(Act::Wait { by: 0, wait }, by, target, expected, &[]);
    }

    #[track_caller]
    fn any(&mut self, by: Label, options: u32, expected: Outcome) {
        self.wait(by, Whom::Any, by, options, expected);
    }

    #[track_caller]
    fn pid(&mut self, by: Label, target: Label, options: u32, expected: Outcome) {
        self.wait(by, Whom::Task(0), target, options, expected);
    }

    #[track_caller]
    fn waitid(&mut self, by: Label, options: u32, expected: Outcome) {
        let wait = Wait { whom: Whom::Any, waitid: true, options, pidfd: false };
        self.act(Act::Wait { by: 0, wait }, by, by, expected, &[]);
    }

    #[track_caller]
    fn ask(&mut self, label: Label, what: u64, args: &[i64]) -> puppet::Reply {
        self.stage.ask(label, what, args).expect("it answers")
    }

    fn real(&self, label: Label) -> i64 {
        self.stage.real(self.world.tid(label).get())
    }

    #[track_caller]
    fn ptrace(&mut self, by: Label, request: u32, target: Label, data: i64) {
        let it = self.real(target);
        let reply = self.ask(by, puppet::CALL, &[libc::SYS_ptrace, request.into(), it, 0, data]);
        assert_eq!(reply.result, 0);
    }
}

pub type Fact = (&'static str, fn(LookupKind));

pub const FACTS: [Fact; 21] = [
    ("1: fork order, not death order", fork_order),
    ("2: own children before a sibling thread's", own_first),
    ("2: own children, then own tracees, the latest first", tracees_last),
    ("3: an orphan goes to the tail of its new parent", orphans_last),
    ("4: a leader waits for its threads, the last one's code counts", delayed_leader),
    ("5: WSTOPPED with only zombies is ECHILD", only_zombies),
    ("5: a dead tracee stops no more", dead_tracee),
    ("6: bad arguments", bad_arguments),
    ("6: P_PGID 0 is resolved at entry", own_group),
    ("7: EFAULT after the reaping", fault),
    ("8: a handler interrupts, or the call restarts", interrupted),
    ("8: ignored children reap themselves", ignored),
    ("9: a traced zombie is the tracer's first", traced_zombie),
    ("9: trace stops are the tracer's, group stops are the parent's, too", traced_stop),
    ("10: one report for a stop, one for a continue", reported_once),
    ("11: __WCLONE and __WALL", classes),
    ("12: exec by another thread takes the leader's pid", exec_by_thread),
    ("13: event stops, INTERRUPT, LISTEN", event_stops),
    ("13: who is let go joins a stop that is under way", let_go),
    ("13: PTRACE_EVENT_EXIT, PTRACE_EVENT_FORK, syscall stops", events),
    ("14: the usage of the child, and of its children", usage),
];

fn fork_order(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let (a, b, c) = (t.fork(0), t.fork(0), t.fork(0));
    t.exit(c, 3);
    t.exit(b, 2);
    t.exit(a, 1);
    t.any(0, 0, status(a, exited(1)));
    t.any(0, 0, status(b, exited(2)));
    t.any(0, 0, status(c, exited(3)));
    t.any(0, 0, NO_CHILD);
}

fn own_first(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let thread = t.thread(0);
    let (first, second) = (t.fork(0), t.fork(thread));
    t.pid(thread, first, WNOHANG | __WNOTHREAD, NO_CHILD);
    t.pid(0, second, WNOHANG | __WNOTHREAD, NO_CHILD);
    t.exit(first, 1);
    t.exit(second, 2);
    t.any(thread, 0, status(second, exited(2)));
    t.any(thread, __WNOTHREAD, NO_CHILD);
    t.any(thread, 0, status(first, exited(1)));
}

fn tracees_last(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let tracer = t.fork(0);
    let (a, b, c) = (t.fork(0), t.fork(0), t.fork(0));
    for tracee in [b, a, c] {
        t.seize(tracer, tracee);
    }
    let child = t.fork(tracer);
    for role in [a, b, c, child] {
        t.kill(role);
    }
    for role in [child, c, a, b] {
        t.any(tracer, 0, status(role, KILLED));
    }
}

fn orphans_last(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let parent = t.fork(0);
    let orphan = t.fork(parent);
    let later = t.fork(0);
    t.exit(parent, 1);
    t.exit(orphan, 2);
    t.exit(later, 3);
    t.any(0, 0, status(parent, exited(1)));
    t.any(0, 0, status(later, exited(3)));
    t.any(0, 0, status(orphan, exited(2)));
    // A nearer subreaper comes first, and one that is not any more does not count.
    let reaper = t.fork(0);
    t.done(Act::Subreaper { by: 0, on: true }, reaper, reaper);
    let middle = t.fork(reaper);
    let orphan = t.fork(middle);
    t.exit(middle, 0);
    t.exit(orphan, 7);
    t.pid(reaper, orphan, 0, status(orphan, exited(7)));
    let middle = t.fork(reaper);
    let orphan = t.fork(middle);
    t.done(Act::Subreaper { by: 0, on: false }, reaper, reaper);
    t.exit(middle, 0);
    t.exit(orphan, 8);
    t.pid(reaper, orphan, WNOHANG, NO_CHILD);
    t.pid(0, orphan, 0, status(orphan, exited(8)));
}

fn delayed_leader(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let leader = t.fork(0);
    let thread = t.thread(leader);
    t.exit(leader, 3);
    t.any(0, WNOHANG, Nothing);
    t.exit(thread, 5);
    t.any(0, 0, status(leader, exited(5)));
    let leader = t.fork(0);
    let thread = t.thread(leader);
    t.exit(leader, 3);
    t.done(Act::Exit { by: 0, code: 7, how: Exits::Process }, thread, thread);
    t.any(0, 0, status(leader, exited(7)));
    let leader = t.fork(0);
    let _thread = t.thread(leader);
    t.exit(leader, 3);
    t.kill(leader);
    t.any(0, 0, status(leader, KILLED));
}

fn only_zombies(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let zombie = t.fork(0);
    t.exit(zombie, 1);
    t.waitid(0, WSTOPPED, NO_CHILD);
    t.waitid(0, WSTOPPED | WCONTINUED | WNOHANG, NO_CHILD);
    let _alive = t.fork(0);
    // Nothing also means that siginfo is zero.
    t.waitid(0, WSTOPPED | WNOHANG, Nothing);
}

fn dead_tracee(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let (tracer, leader) = (t.fork(0), t.fork(0));
    let _thread = t.thread(leader);
    t.seize(tracer, leader);
    t.exit(leader, 0);
    t.waitid(tracer, WSTOPPED, NO_CHILD);
    t.waitid(tracer, WCONTINUED | WNOHANG, Nothing);
    t.waitid(tracer, WEXITED | WNOHANG, Nothing);
    // Its process may stop, for its parent.
    t.waitid(0, WSTOPPED | WNOHANG, Nothing);
}

fn bad_arguments(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let child = t.fork(0);
    let own = t.world.family.pgid(t.world.tid(0)).expect("there");
    let pidfd = |_| Ok(Pidfd { task: None, nonblock: false });
    let (einval, esrch, echild) = (Err(Errno::EINVAL), Err(Errno::ESRCH), Err(Errno::ECHILD));
    let wait4 = [
        (i32::MIN, WNOHANG, esrch),
        (i32::MIN + 1, WNOHANG, echild),
        (i32::MAX, WNOHANG, echild),
        (-1, WNOHANG | WNOWAIT, einval),
        (-1, WNOHANG | WEXITED, einval),
        (-1, WNOHANG | 0x10, einval),
        (-1, WNOHANG | __WCLONE | __WALL, Ok(())),
        (-1, WNOHANG | __WNOTHREAD, Ok(())),
        (0, WNOHANG, Ok(())),
    ];
    let me = t.world.tid(0);
    let answer = |t: &mut Duo, request: Result<WaitRequest, Errno>| {
        request.and_then(|request| match t.world.family.wait(me, &request, &mut Effects::new())? {
            WaitOutcome::NoChild => Err(Errno::ECHILD),
            _ => Ok(()),
        })
    };
    let raw = |result: Result<(), Errno>| result.map_or_else(|errno| -i64::from(errno.raw()), |()| 0);
    for (pid, options, expected) in wait4 {
        let found = answer(&mut t, WaitRequest::wait4(pid, options, own));
        assert_eq!(found, expected, "the model: wait4({pid}, {options:#x})");
        let reply = t.ask(0, puppet::WAIT4, &[pid.into(), options.into(), 0]);
        assert_eq!(reply.result, raw(expected), "the kernel: wait4({pid}, {options:#x})");
    }
    let exited = WEXITED | WNOHANG;
    let waitid = [
        (P_PID, 0, exited, einval),
        (P_PID, -1, exited, einval),
        (P_PGID, -1, exited, einval),
        (P_PIDFD, -1, exited, einval),
        (4, 1, exited, einval),
        (P_PGID, 0, exited, Ok(())),
        (P_ALL, -7, exited, Ok(())),
        (P_ALL, 0, WNOHANG, einval),
        (P_ALL, 0, WNOHANG | WNOWAIT, einval),
        (P_ALL, 0, exited | 0x10, einval),
        (P_ALL, 0, exited | __WCLONE | __WALL, Ok(())),
        (P_PID, i32::MAX, exited, echild),
        (P_PGID, i32::MAX, exited, echild),
    ];
    for (idtype, id, options, expected) in waitid {
        let found = answer(&mut t, WaitRequest::waitid(idtype, id, options, own, pidfd));
        assert_eq!(found, expected, "the model: waitid({idtype}, {id}, {options:#x})");
        let reply = t.ask(0, puppet::WAITID, &[idtype.into(), id.into(), options.into()]);
        assert_eq!(reply.result, raw(expected), "the kernel: waitid({idtype}, {id}, {options:#x})");
    }
    // A pidfd that does not block.
    let wait = Wait { whom: Whom::Task(0), waitid: true, options: WEXITED, pidfd: true };
    t.act(Act::Wait { by: 0, wait }, 0, child, Outcome::Failed(Errno::EAGAIN), &[]);
    let wait = Wait { options: WEXITED | WNOHANG, ..wait };
    t.act(Act::Wait { by: 0, wait }, 0, child, Nothing, &[]);
}

fn own_group(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let caller = t.fork(0);
    let child = t.fork(caller);
    t.wait(caller, Whom::OwnGroup, caller, 0, Blocked);
    // Its group is another one now; the call still means the old one.
    t.done(Act::Setpgid { by: 0, target: 0, to: None }, 0, caller);
    t.exit_and(child, 4, &[(caller, status(child, exited(4)))]);
}

fn fault(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let child = t.fork(0);
    t.exit(child, 1);
    let reply = t.ask(0, puppet::WAIT4, &[-1, 0, 1]);
    assert_eq!(reply.result, -i64::from(libc::EFAULT));
    assert_eq!(t.ask(0, puppet::WAIT4, &[-1, 0, 0]).result, -i64::from(libc::ECHILD));
    // The answer is consumed before its owner can write it anywhere.
    let own = t.world.family.pgid(t.world.tid(0)).expect("there");
    let request = WaitRequest::wait4(-1, 0, own).expect("good");
    let me = t.world.tid(0);
    let found = t.world.family.wait(me, &request, &mut Effects::new());
    assert!(matches!(found, Ok(WaitOutcome::Found(_))));
    assert_eq!(t.world.family.wait(me, &request, &mut Effects::new()), Ok(WaitOutcome::NoChild));
}

fn interrupted(kind: LookupKind) {
    for restart in [false, true] {
        let mut t = Duo::new(kind);
        let (a, b) = (t.fork(0), t.fork(0));
        let flags = if restart { libc::SA_RESTART } else { 0 };
        assert_eq!(t.ask(0, puppet::SIGCHLD, &[2, flags.into()]).result, 0);
        assert_eq!(t.ask(0, puppet::MASK, &[0]).result, 0);
        t.pid(0, a, 0, Blocked);
        // The model: b's death sends the signal, and wakes nobody who waits for a.
        let done = t.world.play_as(Act::Exit { by: 0, code: 1, how: Exits::Thread }, b, b);
        let sent = done.effects.iter().flat_map(|fx| &fx.signals).filter(|sent| sent.info.signo == 17).count();
        assert_eq!((sent, done.effects.iter().flat_map(|fx| &fx.wake).count()), (1, 0));
        t.stage.order(b, puppet::CALL, &[libc::SYS_exit, 1]);
        if restart {
            t.stage.settle(&t.world).expect("as in the model");
            t.stage.blocks(&t.world, 0).expect("still");
            t.exit_and(a, 2, &[(0, status(a, exited(2)))]);
            assert_eq!(t.ask(0, puppet::COUNT, &[]).result, 2);
        } else {
            assert_eq!(t.stage.reply(0).expect("it answers").result, -i64::from(libc::EINTR));
            assert_eq!(t.ask(0, puppet::COUNT, &[]).result, 1);
        }
    }
}

fn ignored(kind: LookupKind) {
    for action in [
        SigchldAction { ignore: true, ..SigchldAction::default() },
        SigchldAction { no_wait: true, ..SigchldAction::default() },
    ] {
        let mut t = Duo::new(kind);
        t.done(Act::Sigchld { by: 0, action }, 0, 0);
        let (a, b) = (t.fork(0), t.fork(0));
        t.any(0, 0, Blocked);
        t.exit(a, 1);
        t.exit_and(b, 2, &[(0, NO_CHILD)]);
        let signal = if action.ignore { None } else { Some((CLD_EXITED, a, 1)) };
        t.act(Act::TakeSigchld { by: 0 }, 0, 0, Outcome::Signal(signal), &[]);
    }
}

fn traced_zombie(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let (child, tracer) = (t.fork(0), t.fork(0));
    t.seize(tracer, child);
    t.kill(child);
    t.pid(0, child, WNOHANG, Nothing);
    t.pid(tracer, child, 0, status(child, KILLED));
    t.pid(tracer, child, WNOHANG, NO_CHILD);
    t.pid(0, child, 0, status(child, KILLED));
    // Or the tracer dies.
    let child = t.fork(0);
    t.seize(tracer, child);
    t.kill(child);
    t.pid(0, child, 0, Blocked);
    t.act(
        Act::Exit { by: 0, code: 0, how: Exits::Thread },
        tracer,
        tracer,
        Outcome::Done,
        &[(0, status(child, KILLED))],
    );
    // Or it detaches while the tracee lives.
    let (child, tracer) = (t.fork(0), t.fork(0));
    t.done(Act::Attach { by: 0, target: 0 }, tracer, child);
    t.pid(tracer, child, 0, status(child, STOPPED));
    t.done(Act::Detach { by: 0, target: 0, stop: false }, tracer, child);
    t.kill(child);
    t.pid(tracer, child, WNOHANG, NO_CHILD);
    t.pid(0, child, 0, status(child, KILLED));
}

fn traced_stop(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let (child, tracer) = (t.fork(0), t.fork(0));
    t.seize(tracer, child);
    t.stop(child);
    // A signal-delivery-stop: seen without WUNTRACED, by the tracer alone.
    t.pid(0, child, WNOHANG | WUNTRACED, Nothing);
    t.pid(tracer, child, 0, status(child, STOPPED));
    // Passed on, it becomes a group stop: an event stop for the tracer, and a plain stop for the parent.
    t.done(Act::Cont { by: 0, target: 0, stop: true }, tracer, child);
    t.pid(tracer, child, 0, status(child, trapped(19 | EVENT_STOP << 8)));
    t.pid(0, child, WNOHANG, Nothing);
    t.pid(0, child, WUNTRACED, status(child, STOPPED));
    t.pid(0, child, WNOHANG | WUNTRACED, Nothing);
    // A tracer that is the parent sees the one stop once.
    let own = t.fork(0);
    t.seize(0, own);
    t.stop(own);
    t.pid(0, own, 0, status(own, STOPPED));
    t.done(Act::Cont { by: 0, target: 0, stop: true }, 0, own);
    t.pid(0, own, WUNTRACED, status(own, trapped(19 | EVENT_STOP << 8)));
    t.pid(0, own, WNOHANG | WUNTRACED, Nothing);
}

fn reported_once(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let child = t.fork(0);
    t.stop(child);
    let stopped = Outcome::Waited(Answer::Waitid { who: child, code: CLD_STOPPED, status: 19 });
    t.waitid(0, WSTOPPED | WNOWAIT, stopped);
    t.waitid(0, WSTOPPED | WNOWAIT, stopped);
    t.any(0, WUNTRACED, status(child, STOPPED));
    t.any(0, WUNTRACED | WNOHANG, Nothing);
    t.cont(child);
    let continued = Outcome::Waited(Answer::Waitid { who: child, code: CLD_CONTINUED, status: 18 });
    t.waitid(0, WCONTINUED | WNOWAIT, continued);
    t.any(0, WNOHANG, Nothing);
    t.any(0, WCONTINUED, status(child, CONTINUED));
    t.any(0, WCONTINUED | WNOHANG, Nothing);
    t.exit(child, 6);
    let dead = Outcome::Waited(Answer::Waitid { who: child, code: CLD_EXITED, status: 6 });
    t.waitid(0, WEXITED | WNOWAIT, dead);
    t.waitid(0, WEXITED, dead);
    t.waitid(0, WEXITED, NO_CHILD);
}

fn classes(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let clone = t.fork_with(0, false, Signal::new(10));
    t.exit(clone, 1);
    t.any(0, WNOHANG, NO_CHILD);
    let plain = t.fork(0);
    t.exit(plain, 2);
    t.any(0, __WCLONE, status(clone, exited(1)));
    t.any(0, __WCLONE, NO_CHILD);
    t.any(0, __WALL, status(plain, exited(2)));
    let silent = t.fork_with(0, false, None);
    t.exit(silent, 3);
    t.pid(0, silent, WNOHANG, NO_CHILD);
    t.pid(0, silent, __WALL, status(silent, exited(3)));
    // A tracer need not say __WALL.
    let clone = t.fork_with(0, false, Signal::new(10));
    let tracer = t.fork(0);
    t.seize(tracer, clone);
    t.kill(clone);
    t.any(tracer, 0, status(clone, KILLED));
    t.any(0, __WCLONE, status(clone, KILLED));
}

fn exec_by_thread(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let leader = t.fork(0);
    let later = t.fork(0);
    let thread = t.thread(leader);
    let own = t.fork(thread);
    t.pid(0, leader, 0, Blocked);
    t.done(Act::Exec { by: 0 }, thread, thread);
    // The thread is the process now, with its children and its place in line.
    t.exit(own, 1);
    t.any(thread, 0, status(own, exited(1)));
    t.exit(later, 2);
    t.exit_and(thread, 9, &[(0, status(thread, exited(9)))]);
    t.any(0, 0, status(later, exited(2)));
}

fn event_stops(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let child = t.fork(0);
    t.seize(0, child);
    t.any(0, WNOHANG, Nothing);
    t.done(Act::Interrupt { by: 0, target: 0 }, 0, child);
    t.any(0, 0, status(child, trapped(5 | EVENT_STOP << 8)));
    t.any(0, WNOHANG, Nothing);
    t.ptrace_cont(0, child);
    t.stop(child);
    t.any(0, 0, status(child, STOPPED));
    t.done(Act::Cont { by: 0, target: 0, stop: true }, 0, child);
    t.any(0, 0, status(child, trapped(19 | EVENT_STOP << 8)));
    t.done(Act::Listen { by: 0, target: 0 }, 0, child);
    t.any(0, WNOHANG, Nothing);
    // It is not stopped for ptrace while it listens.
    t.act(Act::Cont { by: 0, target: 0, stop: false }, 0, child, Outcome::Failed(Errno::ESRCH), &[]);
    t.cont(child);
    t.any(0, 0, status(child, trapped(5 | EVENT_STOP << 8)));
    t.any(0, WCONTINUED, status(child, CONTINUED));
    // LISTEN is for event stops of the seized alone.
    t.ptrace_cont(0, child);
    t.stop(child);
    t.act(Act::Listen { by: 0, target: 0 }, 0, child, Outcome::Failed(Errno::EIO), &[]);
}

fn let_go(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let child = t.fork(0);
    let (first, second) = (t.thread(child), t.thread(child));
    t.seize(0, first);
    t.seize(0, second);
    t.done(Act::Interrupt { by: 0, target: 0 }, 0, second);
    t.pid(0, second, __WALL, status(second, trapped(5 | EVENT_STOP << 8)));
    t.stop(child);
    t.pid(0, first, __WALL, status(first, trapped(19 | EVENT_STOP << 8)));
    // The second has yet to join; the first, which has, stays stopped without its tracer.
    t.done(Act::Detach { by: 0, target: 0, stop: false }, 0, first);
    t.pid(0, child, WNOHANG | WUNTRACED, Nothing);
    t.ptrace_cont(0, second);
    t.pid(0, child, WUNTRACED, status(child, STOPPED));
    t.pid(0, second, __WALL, status(second, trapped(19 | EVENT_STOP << 8)));
}

fn events(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let child = t.fork(0);
    t.seize(0, child);
    let options = libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACESYSGOOD;
    t.done(Act::Interrupt { by: 0, target: 0 }, 0, child);
    t.any(0, 0, status(child, trapped(5 | EVENT_STOP << 8)));
    t.ptrace(0, libc::PTRACE_SETOPTIONS, child, options.into());
    // To the entry of the read that it goes back to, to its exit, and on to a fork and its end.
    let stop = |t: &mut Duo, stop: TraceStop| {
        let tid = t.world.tid(child);
        let mut fx = Effects::new();
        assert_eq!(t.world.family.trace_stop(tid, stop, &mut fx), Ok(true));
        t.stage.settle(&t.world).expect("as in the model");
        t.any(0, 0, status(child, trapped(stop.code())));
    };
    let go = |t: &mut Duo, request: u32| {
        t.ptrace(0, request, child, 0);
        let (me, tid) = (t.world.tid(0), t.world.tid(child));
        t.world.family.cont(me, tid, None, &mut Effects::new()).expect("trapped");
    };
    go(&mut t, libc::PTRACE_SYSCALL);
    stop(&mut t, TraceStop::Syscall { good: true });
    go(&mut t, libc::PTRACE_SYSCALL);
    t.stage.order(child, puppet::FORK, &[0, 17, 2]);
    stop(&mut t, TraceStop::Syscall { good: true });
    go(&mut t, libc::PTRACE_CONT);
    stop(&mut t, TraceStop::Event(libc::PTRACE_EVENT_FORK as u8));
    // The new one is traced, too, and begins in an event stop.
    let grandchild = t.world.size();
    let fork = Act::Fork { by: 0, thread: false, parent: false, ptrace: true, signal: Some(Signal::SIGCHLD) };
    let done = t.world.play_as(fork, child, child);
    assert_eq!(done.outcome, Outcome::Forked(grandchild));
    let reply = t.ask(0, puppet::WAIT4, &[-1, 0, 0]);
    assert_eq!(reply.values[0], i64::from(trapped(5 | EVENT_STOP << 8)));
    t.stage.know(&t.world, grandchild, reply.result as i32);
    let (me, own) = (t.world.tid(0), t.world.family.pgid(t.world.tid(0)).expect("there"));
    let request = WaitRequest::wait4(-1, 0, own).expect("good");
    let Ok(WaitOutcome::Found(report)) = t.world.family.wait(me, &request, &mut Effects::new()) else {
        panic!("the model: the new one's event stop");
    };
    assert_eq!((report.tid, report.status()), (t.world.tid(grandchild), trapped(5 | EVENT_STOP << 8)));
    go(&mut t, libc::PTRACE_CONT);
    assert!(t.stage.reply(child).is_ok());
    t.stage.order(child, puppet::CALL, &[libc::SYS_exit_group, 3]);
    stop(&mut t, TraceStop::Event(libc::PTRACE_EVENT_EXIT as u8));
    go(&mut t, libc::PTRACE_CONT);
    let (tid, mut fx) = (t.world.tid(child), Effects::new());
    t.world.family.exit_thread(tid, ExitCode::exited(3), Usage::default(), &mut fx).expect("alive");
    t.stage.settle(&t.world).expect("as in the model");
    t.pid(0, child, 0, status(child, exited(3)));
}

fn usage(kind: LookupKind) {
    let mut t = Duo::new(kind);
    let child = t.fork(0);
    let grandchild = t.fork(child);
    let burn = |t: &mut Duo, label: Label, ms: u64| {
        t.ask(label, puppet::BURN, &[ms as i64]);
        let tid = t.world.tid(label);
        let usage = Usage { utime_ns: ms * 1_000_000, ..Usage::default() };
        t.world.family.set_usage(tid, usage).expect("alive");
    };
    let children = |t: &mut Duo| {
        let real = t.ask(0, puppet::RUSAGE, &[libc::RUSAGE_CHILDREN.into()]).values[0];
        let pid = t.world.pid(0).expect("there");
        (real, t.world.family.children_usage(pid).expect("there").utime_ns / 1000)
    };
    burn(&mut t, grandchild, 30);
    burn(&mut t, child, 20);
    t.exit(grandchild, 1);
    t.any(child, 0, status(grandchild, exited(1)));
    t.exit(child, 2);
    let before = children(&mut t);
    assert_eq!(before.1, 0);
    assert!(before.0 < 20_000, "nothing is counted before the reaping: {before:?}");
    // Both reap it by hand: the usage comes with the report.
    let reply = t.ask(0, puppet::WAIT4, &[-1, 0, 0]);
    assert!(reply.values[1] >= 50_000, "the child's and its child's: {reply:?}");
    let (me, own) = (t.world.tid(0), t.world.family.pgid(t.world.tid(0)).expect("there"));
    let request = WaitRequest::wait4(-1, 0, own).expect("good");
    match t.world.family.wait(me, &request, &mut Effects::new()) {
        Ok(WaitOutcome::Found(report)) => assert_eq!(report.usage.utime_ns, 50_000_000),
        other => panic!("the model: {other:?}"),
    }
    let after = children(&mut t);
    assert_eq!(after.1, 50_000);
    assert!(after.0 - before.0 >= 50_000, "{before:?} {after:?}");
    // One that reaps itself is not counted.
    let action = SigchldAction { ignore: true, ..SigchldAction::default() };
    t.done(Act::Sigchld { by: 0, action }, 0, 0);
    let child = t.fork(0);
    burn(&mut t, child, 30);
    t.exit(child, 0);
    let last = children(&mut t);
    assert_eq!(last.1, after.1);
    assert!(last.0 - after.0 < 30_000, "{after:?} {last:?}");
}
