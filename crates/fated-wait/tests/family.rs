//! What stories do not come by: questions, refusals, the end of init, siginfo in detail.

use fated_wait::*;

fn tid(id: u32) -> Tid {
    Tid::new(id).expect("an id")
}

fn pid(id: u32) -> Pid {
    tid(id).into()
}

const PLAIN: ForkFlags = ForkFlags { thread: false, parent: false, ptrace: false };
const THREAD: ForkFlags = ForkFlags { thread: true, parent: false, ptrace: false };
const CHLD: Option<Signal> = Some(Signal::SIGCHLD);

/// A family of init and, below it, 2 with the child 3 and the thread 4.
fn small() -> (Family, Effects) {
    let (mut family, mut fx) = (Family::default(), Effects::new());
    family.init(tid(1)).expect("the first");
    family.fork(tid(1), tid(2), PLAIN, CHLD, &mut fx).expect("free");
    family.fork(tid(2), tid(3), PLAIN, CHLD, &mut fx).expect("free");
    family.fork(tid(2), tid(4), THREAD, None, &mut fx).expect("free");
    assert_eq!(fx, Effects::new());
    (family, fx)
}

fn any(options: u32) -> WaitRequest {
    WaitRequest { selector: Selector::Any, options: options | WEXITED, again: false }
}

#[test]
fn questions() {
    let (mut family, mut fx) = small();
    assert_eq!(family.lookup_kind(), LookupKind::Index);
    assert_eq!(Family::new(LookupKind::Scan).lookup_kind(), LookupKind::Scan);
    assert_eq!((family.init_pid(), Family::default().init_pid()), (Some(pid(1)), None));
    assert!(family.exists(tid(4)) && !family.exists(tid(5)) && !family.is_free(tid(4)) && family.is_free(tid(5)));
    assert_eq!((family.pid(tid(4)), family.pid(tid(5))), (Some(pid(2)), None));
    assert_eq!(
        (family.parent(tid(3)), family.parent(tid(4)), family.parent(tid(1))),
        (Some(pid(2)), Some(pid(1)), None)
    );
    assert_eq!(family.parent_thread(tid(3)), Some(tid(2)));
    assert_eq!(family.threads(pid(2)).collect::<Vec<_>>(), [tid(2), tid(4)]);
    assert_eq!(family.threads(pid(4)).count(), 0);
    assert_eq!((family.live_threads(pid(2)), family.live_threads(pid(4))), (2, 0));
    assert_eq!(family.children(tid(2)).collect::<Vec<_>>(), [pid(3)]);
    assert_eq!(family.children(tid(4)).count(), 0);
    assert_eq!(family.processes().collect::<Vec<_>>(), [pid(1), pid(2), pid(3)]);
    assert_eq!(family.tids(), [tid(1), tid(2), tid(3), tid(4)]);
    let group = Pgid::from(pid(1));
    assert_eq!(family.pgid(tid(4)), Some(group));
    assert_eq!(family.members(group).collect::<Vec<_>>(), [pid(3), pid(2), pid(1)]);
    assert_eq!((family.session_of(group), family.sid(tid(3))), (Some(pid(1).into()), Some(pid(1).into())));
    assert_eq!(family.session_of(pid(2).into()), None);
    assert!(family.session_exists(pid(1).into()) && !family.session_exists(pid(2).into()));
    assert!(family.is_session_leader(tid(1)) && !family.is_session_leader(tid(2)) && !family.is_session_leader(tid(9)));
    assert_eq!(family.exit_signal(pid(3)), CHLD);
    assert_eq!(family.group_exit(pid(3)), None);

    family.set_uid(tid(3), 7).expect("alive");
    assert_eq!((family.uid(tid(3)), family.uid(tid(2)), family.uid(tid(9))), (Some(7), Some(0), None));
    family.set_pdeathsig(tid(3), Some(Signal::SIGHUP)).expect("alive");
    assert_eq!((family.pdeathsig(tid(3)), family.pdeathsig(tid(2))), (Some(Signal::SIGHUP), None));
    family.set_subreaper(pid(2), true).expect("there");
    assert!(family.is_subreaper(pid(2)) && !family.is_subreaper(pid(3)));
    let used = |n| Usage { minflt: n, ..Usage::default() };
    family.set_usage(tid(2), used(1)).expect("alive");
    family.set_usage(tid(4), used(2)).expect("alive");
    assert_eq!((family.thread_usage(tid(4)), family.usage(pid(2))), (Some(used(2)), Some(used(3))));
    assert_eq!((family.usage(pid(9)), family.children_usage(pid(9))), (None, None));
    family.exit_thread(tid(4), ExitCode::exited(0), used(4), &mut fx).expect("alive");
    assert_eq!((family.usage(pid(2)), fx.freed.as_slice()), (Some(used(5)), &[tid(4)][..]));

    family.seize(tid(1), tid(3), true, &mut fx).expect("may");
    assert_eq!(family.trace(tid(3)), Some(TraceInfo { tracer: tid(1), seized: true, exitkill: true }));
    assert_eq!(family.trace(tid(2)), None);
    assert_eq!(family.tracees(tid(1)).collect::<Vec<_>>(), [tid(3)]);
    assert_eq!(family.state(tid(3)), Some(TaskState::Running));
    family.trace_stop(tid(3), TraceStop::Signal(Signal::SIGHUP), &mut fx).expect("runs");
    assert_eq!(family.state(tid(3)), Some(TaskState::Traced));
    family.set_exitkill(tid(1), tid(3), false).expect("trapped");
    assert_eq!(family.trace(tid(3)).map(|trace| trace.exitkill), Some(false));
    assert!(!family.takes_signal(tid(3)));
    family.cont(tid(1), tid(3), Some(Signal::SIGHUP), &mut fx).expect("trapped");
    assert!(family.takes_signal(tid(3)) && !family.takes_signal(tid(2)) && !family.takes_signal(tid(9)));
    family.settle(tid(3), &mut fx).expect("alive");
    assert!(!family.takes_signal(tid(3)));
    family.stop_group(tid(2), Signal::SIGSTOP, &mut fx).expect("runs");
    assert_eq!((family.state(tid(2)), family.is_stopped(pid(2))), (Some(TaskState::Stopped), true));
    assert!(!family.is_stopped(pid(3)) && !family.is_stopped(pid(9)));
    family.set_group_exit(pid(3), ExitCode::exited(9), &mut fx).expect("there");
    assert_eq!(family.group_exit(pid(3)), Some(ExitCode::exited(9)));
    family.exit_thread(tid(3), ExitCode::exited(1), Usage::default(), &mut fx).expect("alive");
    assert_eq!((family.state(tid(3)), family.state(tid(9))), (Some(TaskState::Zombie), None));
}

#[test]
fn refusals() {
    let (mut family, mut fx) = small();
    let fx = &mut fx;
    let srch = Err(Errno::ESRCH);
    let code = ExitCode::exited(0);
    assert_eq!(family.init(tid(9)), Err(Errno::EEXIST));
    assert_eq!(family.fork(tid(9), tid(10), PLAIN, CHLD, fx), srch);
    assert_eq!(family.fork(tid(2), tid(3), PLAIN, CHLD, fx), Err(Errno::EEXIST));
    let sibling = ForkFlags { parent: true, ..PLAIN };
    assert_eq!(family.fork(tid(1), tid(10), sibling, CHLD, fx), Err(Errno::EINVAL));
    assert_eq!(family.fork(tid(1), tid(10), ForkFlags { thread: true, ..sibling }, CHLD, fx), Ok(()));
    assert_eq!(family.exit_thread(tid(9), code, Usage::default(), fx), srch);
    assert_eq!((family.set_group_exit(pid(4), code, fx), family.exec(tid(9), fx)), (srch, srch));
    assert_eq!((family.stop_group(tid(9), Signal::SIGSTOP, fx), family.continue_group(pid(4), fx)), (srch, srch));
    assert_eq!((family.settle(tid(9), fx), family.traceme(tid(9))), (srch, srch));
    assert_eq!(family.traceme(tid(1)), Err(Errno::EPERM));
    assert_eq!((family.attach(tid(9), tid(2), fx), family.attach(tid(2), tid(9), fx)), (srch, srch));
    assert_eq!(family.attach(tid(2), tid(4), fx), Err(Errno::EPERM));
    assert_eq!((family.cont(tid(1), tid(3), None, fx), family.detach(tid(1), tid(3), None, fx)), (srch, srch));
    assert_eq!((family.kill(tid(1), tid(3), fx), family.interrupt(tid(1), tid(3), fx)), (srch, srch));
    assert_eq!((family.listen(tid(1), tid(3), fx), family.set_exitkill(tid(1), tid(3), true)), (srch, srch));
    assert_eq!(family.trace_stop(tid(9), TraceStop::Event(1), fx), Err(Errno::ESRCH));
    assert_eq!(family.trace_stop(tid(3), TraceStop::Event(1), fx), Ok(false));
    assert_eq!(family.wait(tid(9), &any(0), fx), Err(Errno::ESRCH));
    assert_eq!(family.block(tid(9), &any(0)), srch);
    family.unblock(tid(9));
    assert_eq!(family.setsid(tid(9), fx), Err(Errno::ESRCH));
    assert_eq!(family.setpgid(tid(9), None, None, fx), srch);
    assert_eq!((family.set_usage(tid(9), Usage::default()), family.set_uid(tid(9), 1)), (srch, srch));
    assert_eq!((family.set_pdeathsig(tid(9), None), family.set_subreaper(pid(4), true)), (srch, srch));
    assert_eq!(family.set_sigchld(pid(4), SigchldAction::default()), srch);
    family.attach(tid(1), tid(3), fx).expect("may");
    assert_eq!(family.interrupt(tid(1), tid(3), fx), Err(Errno::EIO));
    assert_eq!(family.attach(tid(2), tid(3), fx), Err(Errno::EPERM));
    family.trace_stop(tid(3), TraceStop::Event(1), fx).expect("runs");
    assert_eq!(family.trace_stop(tid(3), TraceStop::Event(1), fx), Err(Errno::EINVAL));
    assert_eq!(family.stop_group(tid(3), Signal::SIGSTOP, fx), Err(Errno::EINVAL));
    assert_eq!(family.listen(tid(1), tid(3), fx), Err(Errno::EIO));
}

#[test]
fn groups_and_sessions() {
    let (mut family, mut fx) = small();
    let fx = &mut fx;
    let group = |id| Some(Pgid::from(pid(id)));
    // For a child, for oneself, not for others, not for threads, not across sessions, not into nothing.
    assert_eq!(family.setpgid(tid(4), Some(pid(3)), None, fx), Ok(()));
    assert_eq!(family.setpgid(tid(2), None, None, fx), Ok(()));
    assert_eq!((family.pgid(tid(3)), family.pgid(tid(4))), (group(3), group(2)));
    assert_eq!(family.setpgid(tid(3), Some(pid(2)), None, fx), Err(Errno::ESRCH));
    assert_eq!(family.setpgid(tid(2), Some(pid(4)), None, fx), Err(Errno::EINVAL));
    assert_eq!(family.setpgid(tid(2), Some(pid(3)), group(9), fx), Err(Errno::EPERM));
    assert_eq!(family.setpgid(tid(1), None, None, fx), Err(Errno::EPERM));
    assert_eq!(family.setsid(tid(3), fx), Err(Errno::EPERM));
    assert_eq!(family.setpgid(tid(3), None, group(2), fx), Ok(()));
    assert_eq!(fx.freed, []);
    assert_eq!(family.setsid(tid(3), fx), Ok(pid(3).into()));
    assert_eq!(family.setsid(tid(3), fx), Err(Errno::EPERM));
    assert_eq!(family.setpgid(tid(2), Some(pid(3)), None, fx), Err(Errno::EPERM));
    family.fork(tid(2), tid(5), PLAIN, CHLD, fx).expect("free");
    assert_eq!(family.setpgid(tid(2), Some(pid(5)), group(3), fx), Err(Errno::EPERM));
    family.exec(tid(5), fx).expect("alive");
    assert_eq!(family.setpgid(tid(2), Some(pid(5)), None, fx), Err(Errno::EACCES));
    assert_eq!(family.setpgid(tid(5), None, None, fx), Ok(()));
    assert!(!family.is_orphaned(pid(5).into()), "its parent is in another group of the session");
    assert!(family.is_orphaned(pid(2).into()), "init does not count");
    assert!(family.is_orphaned(pid(3).into()) && family.is_orphaned(pid(9).into()));
}

#[test]
fn ids_are_free_when_nothing_has_them() {
    let (mut family, mut fx) = small();
    let code = ExitCode::exited(0);
    family.fork(tid(2), tid(5), PLAIN, CHLD, &mut fx).expect("free");
    family.setsid(tid(3), &mut fx).expect("may");
    family.fork(tid(3), tid(6), PLAIN, CHLD, &mut fx).expect("free");
    // 3 dies; 6 is still in its group and session.
    family.exit_thread(tid(3), code, Usage::default(), &mut fx).expect("alive");
    family.wait(tid(2), &any(0), &mut fx).expect("alive");
    assert_eq!((fx.reaped.as_slice(), fx.freed.as_slice()), (&[pid(3)][..], &[][..]));
    assert_eq!(family.fork(tid(2), tid(3), PLAIN, CHLD, &mut fx), Err(Errno::EEXIST));
    family.setpgid(tid(6), None, None, &mut fx).expect("may");
    assert_eq!(fx.freed, [], "still a session");
    family.exit_thread(tid(6), code, Usage::default(), &mut fx).expect("alive");
    family.wait(tid(1), &any(0), &mut fx).expect("alive");
    assert_eq!(fx.freed, [tid(6), tid(3)]);
    // A group that outlives its leader, and is left.
    fx.clear();
    family.setpgid(tid(2), None, None, &mut fx).expect("may");
    family.setpgid(tid(5), None, Pgid::new(2), &mut fx).expect("may");
    family.set_group_exit(pid(2), code, &mut fx).expect("there");
    for thread in [4, 2] {
        family.exit_thread(tid(thread), code, Usage::default(), &mut fx).expect("alive");
    }
    family.wait(tid(1), &any(0), &mut fx).expect("alive");
    assert_eq!(fx.freed, [tid(4)]);
    family.setsid(tid(5), &mut fx).expect("may");
    assert_eq!(fx.freed, [tid(4), tid(2)]);
}

#[test]
fn an_id_is_freed_once() {
    let (mut family, mut fx) = small();
    family.setsid(tid(3), &mut fx).expect("may");
    family.fork(tid(3), tid(6), PLAIN, CHLD, &mut fx).expect("free");
    for (thread, parent) in [(3, 2), (6, 1)] {
        family.exit_thread(tid(thread), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
        assert!(matches!(family.wait(tid(parent), &any(0), &mut fx), Ok(WaitOutcome::Found(_))));
    }
    assert_eq!(fx.freed, [tid(6), tid(3)], "6 was the last in group and session 3");
}

#[test]
fn setsid_frees_what_it_was_the_last_of() {
    for own_group in [false, true] {
        let (mut family, mut fx) = small();
        family.setsid(tid(3), &mut fx).expect("may");
        for child in [6, 7] {
            family.fork(tid(3), tid(child), PLAIN, CHLD, &mut fx).expect("free");
        }
        if own_group {
            family.setpgid(tid(6), None, None, &mut fx).expect("may");
            family.setpgid(tid(7), None, Pgid::new(6), &mut fx).expect("may");
        }
        for (thread, parent) in [(6, 3), (3, 2)] {
            family.exit_thread(tid(thread), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
            assert!(matches!(family.wait(tid(parent), &any(0), &mut fx), Ok(WaitOutcome::Found(_))));
        }
        fx.clear();
        family.setsid(tid(7), &mut fx).expect("may");
        assert_eq!(fx.freed, if own_group { vec![tid(6), tid(3)] } else { vec![tid(3)] });
    }
}

#[test]
fn the_dead_tie_a_group_to_nobody() {
    let (mut family, mut fx) = small();
    family.setpgid(tid(2), Some(pid(3)), None, &mut fx).expect("may");
    let group = Pgid::from(pid(3));
    assert!(!family.is_orphaned(group));
    family.fork(tid(3), tid(5), THREAD, None, &mut fx).expect("free");
    family.exit_thread(tid(3), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
    assert!(!family.is_orphaned(group), "a thread lives");
    family.exit_thread(tid(5), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
    assert!(family.is_orphaned(group));
    // Nor does a parent in another session.
    family.fork(tid(2), tid(6), PLAIN, CHLD, &mut fx).expect("free");
    family.setsid(tid(6), &mut fx).expect("may");
    assert!(family.is_orphaned(pid(6).into()));
}

#[test]
fn a_stop_moves_with_its_process() {
    let (mut family, mut fx) = small();
    family.setpgid(tid(2), None, None, &mut fx).expect("may");
    family.setpgid(tid(2), Some(pid(3)), None, &mut fx).expect("may");
    for child in [5, 6] {
        family.fork(tid(2), tid(child), PLAIN, CHLD, &mut fx).expect("free");
        family.setpgid(tid(2), Some(pid(child)), Pgid::new(3), &mut fx).expect("may");
    }
    family.setpgid(tid(2), Some(pid(6)), None, &mut fx).expect("may");
    family.stop_group(tid(3), Signal::SIGSTOP, &mut fx).expect("runs");
    family.setpgid(tid(2), Some(pid(3)), Pgid::new(6), &mut fx).expect("may");
    family.set_group_exit(pid(2), ExitCode::exited(0), &mut fx).expect("there");
    for thread in [4, 2] {
        family.exit_thread(tid(thread), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
    }
    assert_eq!(fx.orphaned, [Pgid::from(pid(6))], "that of 5 is orphaned, too, but nobody in it is stopped");
}

#[test]
fn a_thread_that_dies_before_it_joins_completes_the_stop() {
    let (mut family, mut fx) = small();
    family.fork(tid(2), tid(5), THREAD, None, &mut fx).expect("free");
    for thread in [4, 5] {
        family.seize(tid(1), tid(thread), false, &mut fx).expect("may");
        family.trace_stop(tid(thread), TraceStop::Event(1), &mut fx).expect("runs");
    }
    family.stop_group(tid(2), Signal::SIGSTOP, &mut fx).expect("runs");
    for (thread, complete) in [(4, false), (5, true)] {
        family.cont(tid(1), tid(thread), Signal::new(10), &mut fx).expect("trapped");
        fx.clear();
        family.exit_thread(tid(thread), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
        assert_eq!(family.is_stopped(pid(2)), complete);
        let told = fx.signals.iter().any(|sent| (sent.info.code, sent.info.pid) == (CLD_STOPPED, 2));
        assert_eq!(told, complete);
    }
}

#[test]
fn the_dead_tell_of_no_continue() {
    let (mut family, mut fx) = small();
    family.fork(tid(2), tid(5), THREAD, None, &mut fx).expect("free");
    family.attach(tid(1), tid(2), &mut fx).expect("may");
    family.seize(tid(1), tid(4), false, &mut fx).expect("may");
    family.exit_thread(tid(4), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
    family.trace_stop(tid(2), TraceStop::Event(1), &mut fx).expect("runs");
    family.stop_group(tid(5), Signal::SIGSTOP, &mut fx).expect("runs");
    family.exit_thread(tid(5), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
    fx.clear();
    family.continue_group(pid(2), &mut fx).expect("there");
    assert_eq!(fx, Effects::new(), "a dead thread and a trapped one notice nothing");
    family.cont(tid(1), tid(2), None, &mut fx).expect("trapped");
    let told: Vec<_> = fx.signals.iter().map(|sent| (sent.info.code, sent.info.pid)).collect();
    assert_eq!(told, [(CLD_STOPPED, 2)], "the stop that was under way");
}

#[test]
fn orphaned_groups_hang_up() {
    let (mut family, mut fx) = small();
    family.setpgid(tid(3), None, None, &mut fx).expect("may");
    family.stop_group(tid(3), Signal::SIGSTOP, &mut fx).expect("runs");
    fx.clear();
    family.exit_thread(tid(4), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
    assert_eq!(fx.orphaned, []);
    family.exit_thread(tid(2), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
    assert_eq!(fx.orphaned, [Pgid::from(pid(3))]);
    assert_eq!(fx.reparented, [Reparented { pid: pid(3), from: tid(2), to: tid(1) }]);
}

#[test]
fn siginfo_of_a_death() {
    let (mut family, mut fx) = small();
    family.set_uid(tid(3), 1000).expect("alive");
    let usage = Usage { utime_ns: 120_000_000, stime_ns: 70_000_000, ..Usage::default() };
    family.exit_thread(tid(3), ExitCode::killed(Signal::SIGTRAP, true), usage, &mut fx).expect("alive");
    let info = SigInfo { signo: 17, code: CLD_DUMPED, pid: 3, uid: 1000, status: 5, utime: 12, stime: 7 };
    assert_eq!(fx.signals, [SignalSent { to: Target::Process(pid(2)), info }]);
}

#[test]
fn an_exec_changes_the_exit_signal() {
    for parent_execs in [false, true] {
        let (mut family, mut fx) = small();
        family.fork(tid(1), tid(8), PLAIN, Signal::new(10), &mut fx).expect("free");
        if parent_execs {
            family.exec(tid(1), &mut fx).expect("alive");
            assert_eq!(fx.execed, [(tid(1), pid(1))]);
        }
        family.exit_thread(tid(8), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
        assert_eq!(fx.signals[0].info.signo, if parent_execs { 17 } else { 10 });
        // The class of the child stays.
        assert_eq!(family.wait(tid(1), &any(WNOWAIT), &mut fx), Ok(WaitOutcome::WouldBlock));
        let clone = WaitRequest { options: WEXITED | __WCLONE, ..any(0) };
        assert!(matches!(family.wait(tid(1), &clone, &mut fx), Ok(WaitOutcome::Found(_))));
    }
}

#[test]
fn exec_keeps_only_ignoring() {
    let (mut family, mut fx) = small();
    let all = SigchldAction { ignore: true, no_wait: true, no_stop: true };
    for (ignore, reaped) in [(true, true), (false, false)] {
        let child = if ignore { 20 } else { 30 };
        family.fork(tid(1), tid(child), PLAIN, CHLD, &mut fx).expect("free");
        family.set_sigchld(pid(child), SigchldAction { ignore, ..all }).expect("there");
        family.exec(tid(child), &mut fx).expect("alive");
        family.fork(tid(child), tid(child + 1), PLAIN, CHLD, &mut fx).expect("free");
        fx.clear();
        family.stop_group(tid(child + 1), Signal::SIGSTOP, &mut fx).expect("runs");
        assert_eq!(fx.signals.len(), usize::from(!ignore));
        family.exit_thread(tid(child + 1), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
        assert_eq!(family.exists(tid(child + 1)), !reaped);
    }
}

#[test]
fn who_dies_with_whom() {
    let (mut family, mut fx) = small();
    family.fork(tid(4), tid(5), PLAIN, CHLD, &mut fx).expect("free");
    family.set_pdeathsig(tid(5), Some(Signal::SIGHUP)).expect("alive");
    family.set_uid(tid(4), 3).expect("alive");
    family.seize(tid(4), tid(3), true, &mut fx).expect("may");
    family.exit_thread(tid(4), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
    let kill = SigInfo { signo: 9, code: 0x80, ..SigInfo::default() };
    let hup = SigInfo { signo: 1, code: 0, pid: 2, uid: 3, ..SigInfo::default() };
    let expected =
        [SignalSent { to: Target::Thread(tid(3)), info: kill }, SignalSent { to: Target::Process(pid(5)), info: hup }];
    assert_eq!(fx.signals, expected);
    assert_eq!(fx.reparented, [Reparented { pid: pid(5), from: tid(4), to: tid(2) }]);
    fx.clear();
    family.seize(tid(1), tid(3), false, &mut fx).expect("may");
    family.kill(tid(1), tid(3), &mut fx).expect("traced");
    let kill = SigInfo { signo: 9, code: 0, pid: 1, ..SigInfo::default() };
    assert_eq!(fx.signals, [SignalSent { to: Target::Thread(tid(3)), info: kill }]);
}

#[test]
fn a_dead_tracers_stops_take_effect() {
    for (stop, taken, sent) in [
        (TraceStop::Signal(Signal::SIGHUP), Some(Signal::SIGHUP), 0),
        (TraceStop::Syscall { good: false }, None, 1),
        (TraceStop::Syscall { good: true }, None, 0),
        (TraceStop::Event(3), None, 0),
    ] {
        for seen in [false, true] {
            let (mut family, mut fx) = small();
            family.fork(tid(1), tid(5), PLAIN, CHLD, &mut fx).expect("free");
            family.seize(tid(5), tid(3), false, &mut fx).expect("may");
            family.trace_stop(tid(3), stop, &mut fx).expect("runs");
            if seen {
                assert!(matches!(family.wait(tid(5), &any(0), &mut fx), Ok(WaitOutcome::Found(_))));
            }
            fx.clear();
            family.exit_thread(tid(5), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
            let taken: Vec<_> = taken.filter(|_| !seen).map(|signal| (tid(3), signal)).into_iter().collect();
            assert_eq!((fx.taken, fx.resumed), (taken, vec![tid(3)]));
            let traps = fx.signals.iter().filter(|sent| sent.info.signo == 5).count();
            assert_eq!(traps, if seen { 0 } else { sent });
        }
    }
}

#[test]
fn init_takes_everybody_with_it() {
    let (mut family, mut fx) = small();
    let code = ExitCode::exited(0);
    family.fork(tid(1), tid(6), PLAIN, CHLD, &mut fx).expect("free");
    family.fork(tid(1), tid(7), THREAD, None, &mut fx).expect("free");
    family.exit_thread(tid(6), code, Usage::default(), &mut fx).expect("alive");
    // While it has a thread, init lives on in it.
    family.exit_thread(tid(1), code, Usage::default(), &mut fx).expect("alive");
    assert_eq!(family.parent_thread(tid(2)), Some(tid(7)));
    fx.clear();
    family.exit_thread(tid(7), code, Usage::default(), &mut fx).expect("alive");
    let killed: Vec<_> = fx.signals.iter().filter(|sent| sent.info.signo == 9).map(|sent| sent.to).collect();
    assert_eq!(killed, [Target::Process(pid(2)), Target::Process(pid(3))]);
    assert!(fx.signals.iter().all(|sent| sent.info.signo != 9 || sent.info.code == 0x80), "by the kernel");
    assert_eq!(fx.reaped, [pid(6)]);
    assert_eq!(family.parent_thread(tid(2)), Some(tid(1)), "dead as it is");
    // Some may live on for a while, and even fork.
    family.fork(tid(2), tid(9), PLAIN, CHLD, &mut fx).expect("free");
    assert_eq!(family.children(tid(1)).collect::<Vec<_>>(), [pid(2)]);
    for thread in [3, 4, 2, 9] {
        family.exit_thread(tid(thread), code, Usage::default(), &mut fx).expect("alive");
    }
    assert_eq!(family.tids(), [tid(1)]);
    assert_eq!(fx.reaped, [pid(6), pid(2), pid(3), pid(9)]);
}

#[test]
fn init_leaves_those_to_others_who_have_others() {
    let (mut family, mut fx) = small();
    let code = ExitCode::exited(0);
    // 3 is dead, and 2 has not looked; 6 is dead, and its tracer has not; 7 is dead but for a thread that its tracer has
    // not seen die.
    family.exit_thread(tid(3), code, Usage::default(), &mut fx).expect("alive");
    for child in [6, 7] {
        family.fork(tid(1), tid(child), PLAIN, CHLD, &mut fx).expect("free");
    }
    family.fork(tid(7), tid(8), THREAD, None, &mut fx).expect("free");
    family.seize(tid(2), tid(6), false, &mut fx).expect("may");
    family.seize(tid(2), tid(8), false, &mut fx).expect("may");
    for thread in [6, 7, 8] {
        family.exit_thread(tid(thread), code, Usage::default(), &mut fx).expect("alive");
    }
    fx.clear();
    family.exit_thread(tid(1), code, Usage::default(), &mut fx).expect("alive");
    let killed: Vec<_> = fx.signals.iter().map(|sent| (sent.info.signo, sent.to)).collect();
    assert_eq!((killed, fx.reaped.len()), (vec![(9, Target::Process(pid(2)))], 0));
    family.exit_thread(tid(4), code, Usage::default(), &mut fx).expect("alive");
    family.exit_thread(tid(2), code, Usage::default(), &mut fx).expect("alive");
    assert_eq!(family.tids(), [tid(1)]);
}

#[test]
fn a_dead_tracee_stops_no_more() {
    for kind in [LookupKind::Index, LookupKind::Scan] {
        let (mut family, mut fx) = (Family::new(kind), Effects::new());
        family.init(tid(1)).expect("the first");
        family.fork(tid(1), tid(2), PLAIN, CHLD, &mut fx).expect("free");
        family.fork(tid(1), tid(3), PLAIN, CHLD, &mut fx).expect("free");
        family.fork(tid(3), tid(4), THREAD, None, &mut fx).expect("free");
        family.seize(tid(2), tid(3), false, &mut fx).expect("may");
        family.exit_thread(tid(3), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
        for (options, tracer) in [
            (WSTOPPED, WaitOutcome::NoChild),
            (WCONTINUED, WaitOutcome::WouldBlock),
            (WEXITED, WaitOutcome::WouldBlock),
            (WEXITED | WCONTINUED, WaitOutcome::WouldBlock),
        ] {
            for selector in [Selector::Any, Selector::Task(tid(3))] {
                let request = WaitRequest { selector, options, again: false };
                assert_eq!(family.wait(tid(2), &request, &mut fx), Ok(tracer), "{options:#x}");
                assert_eq!(family.wait(tid(1), &request, &mut fx), Ok(WaitOutcome::WouldBlock), "{options:#x}");
            }
        }
    }
}

#[test]
fn blocked_waiters_are_woken_in_turn() {
    for kind in [LookupKind::Index, LookupKind::Scan] {
        let (mut family, mut fx) = (Family::new(kind), Effects::new());
        family.init(tid(1)).expect("the first");
        for thread in 10..16 {
            family.fork(tid(1), tid(thread), THREAD, None, &mut fx).expect("free");
        }
        family.fork(tid(1), tid(2), PLAIN, CHLD, &mut fx).expect("free");
        family.fork(tid(1), tid(3), PLAIN, CHLD, &mut fx).expect("free");
        let task = |id, options| WaitRequest { selector: Selector::Task(tid(id)), options, again: false };
        let group = WaitRequest { selector: Selector::Group(pid(1).into()), ..any(0) };
        family.block(tid(10), &any(0)).expect("alive");
        family.block(tid(11), &task(2, WEXITED)).expect("alive");
        family.block(tid(12), &task(3, WEXITED)).expect("alive");
        family.block(tid(13), &group).expect("alive");
        family.block(tid(14), &any(__WNOTHREAD)).expect("alive");
        family.block(tid(15), &task(2, WSTOPPED)).expect("alive");
        family.block(tid(1), &any(__WNOTHREAD)).expect("alive");
        family.stop_group(tid(2), Signal::SIGSTOP, &mut fx).expect("runs");
        assert_eq!(fx.wake, [tid(15)]);
        fx.clear();
        // To be asked again comes last; the last is woken first.
        family.block(tid(11), &task(2, WEXITED)).expect("alive");
        family.unblock(tid(13));
        family.exit_thread(tid(2), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
        assert_eq!(fx.wake, [tid(11), tid(1), tid(15), tid(10)]);
    }
}

#[test]
fn a_fork_under_a_tracer_is_traced() {
    let (mut family, mut fx) = small();
    let traced = ForkFlags { ptrace: true, ..PLAIN };
    family.fork(tid(2), tid(5), traced, CHLD, &mut fx).expect("free");
    assert_eq!(family.trace(tid(5)), None, "its parent is not");
    family.seize(tid(1), tid(2), true, &mut fx).expect("may");
    family.fork(tid(2), tid(6), traced, CHLD, &mut fx).expect("free");
    assert_eq!(family.trace(tid(6)), Some(TraceInfo { tracer: tid(1), seized: true, exitkill: true }));
    assert_eq!(family.state(tid(6)), Some(TaskState::Traced));
    family.attach(tid(1), tid(3), &mut fx).expect("may");
    fx.clear();
    family.fork(tid(3), tid(7), traced, CHLD, &mut fx).expect("free");
    assert_eq!(family.state(tid(7)), Some(TaskState::Running));
    let stop = SigInfo { signo: 19, code: 0x80, ..SigInfo::default() };
    assert_eq!(fx.signals, [SignalSent { to: Target::Thread(tid(7)), info: stop }]);
}

#[test]
fn a_new_thread_joins_the_stop() {
    let (mut family, mut fx) = small();
    // 4 is trapped, so that the stop is not complete; then 2 is let run and makes a thread.
    family.seize(tid(1), tid(4), false, &mut fx).expect("may");
    family.trace_stop(tid(4), TraceStop::Event(1), &mut fx).expect("runs");
    family.stop_group(tid(2), Signal::SIGSTOP, &mut fx).expect("runs");
    assert!(!family.is_stopped(pid(2)));
    assert_eq!(family.fork(tid(4), tid(5), THREAD, None, &mut fx), Ok(()));
    assert_eq!(family.state(tid(5)), Some(TaskState::Stopped));
    assert!(!family.is_stopped(pid(2)));
    family.cont(tid(1), tid(4), None, &mut fx).expect("trapped");
    assert!(family.is_stopped(pid(2)));
    assert_eq!(family.fork(tid(4), tid(6), THREAD, None, &mut fx), Ok(()));
    assert_eq!(family.state(tid(6)), Some(TaskState::Stopped));
}

#[test]
fn only_the_first_code_counts() {
    let (mut family, mut fx) = small();
    family.set_group_exit(pid(2), ExitCode::exited(5), &mut fx).expect("there");
    family.set_group_exit(pid(2), ExitCode::exited(6), &mut fx).expect("there");
    // A process on its way out neither stops nor continues, and it is too late for exec.
    family.stop_group(tid(4), Signal::SIGSTOP, &mut fx).expect("runs");
    family.continue_group(pid(2), &mut fx).expect("there");
    assert_eq!(family.exec(tid(4), &mut fx), Err(Errno::EAGAIN));
    assert_eq!(fx, Effects::new());
    for thread in [2, 4] {
        family.exit_thread(tid(thread), ExitCode::exited(7), Usage::default(), &mut fx).expect("alive");
    }
    match family.wait(tid(1), &any(0), &mut fx) {
        Ok(WaitOutcome::Found(report)) => assert_eq!(report.status(), 5 << 8),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_exec_waits_for_the_tracer() {
    let (mut family, mut fx) = small();
    family.seize(tid(1), tid(2), false, &mut fx).expect("may");
    family.fork(tid(2), tid(5), THREAD, None, &mut fx).expect("free");
    family.seize(tid(1), tid(5), false, &mut fx).expect("may");
    family.exec(tid(4), &mut fx).expect("alive");
    assert_eq!((fx.execed.len(), family.exec(tid(4), &mut fx)), (0, Err(Errno::EAGAIN)));
    family.block(tid(1), &WaitRequest { selector: Selector::Task(tid(4)), ..any(0) }).expect("alive");
    // The leader, traced, goes silently; the other thread has to be seen.
    let request = WaitRequest { selector: Selector::Task(tid(2)), ..any(0) };
    assert_eq!(family.wait(tid(1), &request, &mut fx), Ok(WaitOutcome::WouldBlock));
    let request = WaitRequest { selector: Selector::Task(tid(5)), ..any(0) };
    fx.clear();
    assert!(matches!(family.wait(tid(1), &request, &mut fx), Ok(WaitOutcome::Found(_))));
    assert_eq!((fx.execed.as_slice(), fx.freed.as_slice()), (&[(tid(4), pid(2))][..], &[tid(5), tid(4)][..]));
    assert_eq!(fx.wake, [tid(1)], "the number that it waited for has become the leader's, and is gone");
    assert_eq!(family.threads(pid(2)).collect::<Vec<_>>(), [tid(2)]);
    assert_eq!(family.trace(tid(2)), None, "it was the leader that was traced");
    // Not if the thread that called it dies before.
    family.fork(tid(2), tid(6), THREAD, None, &mut fx).expect("free");
    family.seize(tid(1), tid(6), false, &mut fx).expect("may");
    family.exec(tid(2), &mut fx).expect("alive");
    family.exit_thread(tid(2), ExitCode::exited(3), Usage::default(), &mut fx).expect("alive");
    fx.clear();
    let request = WaitRequest { selector: Selector::Task(tid(6)), ..any(0) };
    assert!(matches!(family.wait(tid(1), &request, &mut fx), Ok(WaitOutcome::Found(_))));
    assert_eq!((fx.execed.len(), family.state(tid(2))), (0, Some(TaskState::Zombie)));
}

#[test]
fn init_can_exec_from_a_thread() {
    let (mut family, mut fx) = small();
    family.fork(tid(1), tid(7), THREAD, None, &mut fx).expect("free");
    family.exec(tid(7), &mut fx).expect("alive");
    assert_eq!((fx.execed.as_slice(), fx.freed.as_slice()), (&[(tid(7), pid(1))][..], &[tid(7)][..]));
    assert_eq!((family.init_pid(), family.parent_thread(tid(2))), (Some(pid(1)), Some(tid(1))));
    family.set_group_exit(pid(2), ExitCode::exited(0), &mut fx).expect("there");
    for thread in [2, 4] {
        family.exit_thread(tid(thread), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
    }
    assert_eq!(family.parent_thread(tid(3)), Some(tid(1)));
    assert_eq!(family.members(pid(1).into()).collect::<Vec<_>>(), [pid(3), pid(2), pid(1)]);
}

#[test]
fn who_waits_for_nothing_has_no_child() {
    for kind in [LookupKind::Index, LookupKind::Scan] {
        let (mut family, mut fx) = (Family::new(kind), Effects::new());
        family.init(tid(1)).expect("the first");
        family.fork(tid(1), tid(2), PLAIN, CHLD, &mut fx).expect("free");
        let nothing = WaitRequest { selector: Selector::Nothing, ..any(0) };
        assert_eq!(family.wait(tid(1), &nothing, &mut fx), Ok(WaitOutcome::NoChild));
        family.block(tid(1), &nothing).expect("alive");
        family.exit_thread(tid(2), ExitCode::exited(0), Usage::default(), &mut fx).expect("alive");
        assert_eq!(fx.wake, []);
    }
}

#[test]
fn a_stop_that_comes_during_a_trap_ends_listening() {
    let (mut family, mut fx) = small();
    let found = |family: &mut Family| match family.wait(tid(1), &any(0), &mut Effects::new()) {
        Ok(WaitOutcome::Found(report)) => (report.tid, report.event),
        other => panic!("{other:?}"),
    };
    family.seize(tid(1), tid(4), false, &mut fx).expect("may");
    family.interrupt(tid(1), tid(4), &mut fx).expect("seized");
    assert_eq!(found(&mut family), (tid(4), Event::Trapped(5 | 128 << 8)));
    family.stop_group(tid(2), Signal::SIGSTOP, &mut fx).expect("runs");
    assert!(!family.is_stopped(pid(2)), "4 has yet to join");
    family.listen(tid(1), tid(4), &mut fx).expect("an event stop");
    assert!(family.is_stopped(pid(2)));
    assert_eq!(found(&mut family), (tid(4), Event::Trapped(19 | 128 << 8)));
    // Now nothing is left to tell.
    family.listen(tid(1), tid(4), &mut fx).expect("an event stop");
    assert_eq!(family.wait(tid(1), &any(0), &mut fx), Ok(WaitOutcome::WouldBlock));
}

#[test]
fn who_is_let_go_joins_a_stop_that_is_under_way() {
    let (mut family, mut fx) = small();
    family.fork(tid(2), tid(5), THREAD, None, &mut fx).expect("free");
    for thread in [4, 5] {
        family.seize(tid(1), tid(thread), false, &mut fx).expect("may");
    }
    family.interrupt(tid(1), tid(5), &mut fx).expect("seized");
    family.stop_group(tid(2), Signal::SIGSTOP, &mut fx).expect("runs");
    assert_eq!((family.state(tid(4)), family.is_stopped(pid(2))), (Some(TaskState::Traced), false));
    family.detach(tid(1), tid(4), None, &mut fx).expect("trapped");
    assert_eq!((family.state(tid(4)), family.is_stopped(pid(2))), (Some(TaskState::Stopped), false));
    family.cont(tid(1), tid(5), None, &mut fx).expect("trapped");
    assert!(family.is_stopped(pid(2)));
}

#[test]
fn usage_goes_up_the_family() {
    let (mut family, mut fx) = small();
    let used = |n| Usage { minflt: n, ..Usage::default() };
    family.fork(tid(3), tid(5), PLAIN, CHLD, &mut fx).expect("free");
    for (thread, faults, parent) in [(5, 1, 3), (3, 10, 2)] {
        family.exit_thread(tid(thread), ExitCode::exited(0), used(faults), &mut fx).expect("alive");
        assert_eq!(family.children_usage(pid(parent)), Some(used(0)));
        assert!(matches!(family.wait(tid(parent), &any(0), &mut fx), Ok(WaitOutcome::Found(_))));
    }
    assert_eq!(family.children_usage(pid(2)), Some(used(11)));
    assert_eq!(family.usage(pid(2)), Some(used(0)));
}

#[test]
fn effects_can_be_used_again() {
    let mut fx = Effects::new();
    let signal = SignalSent { to: Target::Thread(tid(1)), info: SigInfo::default() };
    fx.signals.push(signal);
    fx.wake.push(tid(1));
    fx.reparented.push(Reparented { pid: pid(1), from: tid(1), to: tid(1) });
    fx.reaped.push(pid(1));
    fx.freed.push(tid(1));
    fx.orphaned.push(pid(1).into());
    fx.stopped.push(tid(1));
    fx.resumed.push(tid(1));
    fx.taken.push((tid(1), Signal::SIGHUP));
    fx.execed.push((tid(1), pid(1)));
    fx.clear();
    assert_eq!(fx, Effects::new());
}
