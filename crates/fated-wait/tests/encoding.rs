//! Bytes and words as a user program of the kernel sees them.

use fated_wait::*;

fn tid(id: u32) -> Tid {
    Tid::new(id).expect("an id")
}

fn report(event: Event) -> Report {
    Report { tid: tid(77), uid: 1000, event, usage: Usage::default() }
}

#[test]
fn ids_have_limits() {
    assert_eq!(Tid::new(0), None);
    assert_eq!(Tid::new(PID_MAX).map(Tid::get), Some(PID_MAX));
    assert_eq!(Tid::new(PID_MAX + 1), None);
    assert_eq!((Signal::new(0), Signal::new(65)), (None, None));
    assert_eq!((Signal::new(1).map(Signal::get), Signal::new(64).map(Signal::get)), (Some(1), Some(64)));
    let pid = Pid::from(tid(5));
    assert_eq!((Tid::from(pid).get(), Pgid::from(pid).get(), Sid::from(pid).get()), (5, 5, 5));
    assert_eq!(
        format!("{} {:?} {} {:?}", tid(5), Pgid::from(pid), Signal::SIGHUP, Signal::SIGKILL),
        "5 Pgid(5) 1 Signal(9)"
    );
}

#[test]
fn errors_have_linux_numbers_and_words() {
    let all = [
        (Errno::EPERM, 1, "operation not permitted"),
        (Errno::ESRCH, 3, "no such process"),
        (Errno::EIO, 5, "trace request does not fit the tracee's state"),
        (Errno::ECHILD, 10, "no child processes"),
        (Errno::EAGAIN, 11, "try again"),
        (Errno::EACCES, 13, "child has called exec"),
        (Errno::EEXIST, 17, "id in use"),
        (Errno::EINVAL, 22, "invalid argument"),
    ];
    for (errno, raw, text) in all {
        assert_eq!((errno.raw(), errno.to_string().as_str()), (raw, text));
    }
}

#[test]
fn status_words_are_read_by_libc() {
    let exited = report(Event::Exited(ExitCode::exited(0x1_03))).status() as i32;
    assert!(libc::WIFEXITED(exited) && libc::WEXITSTATUS(exited) == 3);
    let killed = report(Event::Exited(ExitCode::killed(Signal::SIGKILL, false))).status() as i32;
    assert!(libc::WIFSIGNALED(killed) && libc::WTERMSIG(killed) == 9 && !libc::WCOREDUMP(killed));
    let dumped = report(Event::Exited(ExitCode::killed(Signal::SIGTRAP, true))).status() as i32;
    assert!(libc::WIFSIGNALED(dumped) && libc::WTERMSIG(dumped) == 5 && libc::WCOREDUMP(dumped));
    let stopped = report(Event::Stopped(Signal::SIGSTOP)).status() as i32;
    assert!(libc::WIFSTOPPED(stopped) && libc::WSTOPSIG(stopped) == 19);
    assert!(libc::WIFCONTINUED(report(Event::Continued).status() as i32));
    let event = report(Event::Trapped(TraceStop::Event(4).code())).status() as i32;
    assert!(libc::WIFSTOPPED(event) && event >> 8 == libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8);
    assert_eq!(TraceStop::Syscall { good: true }.code(), 0x85);
    assert_eq!(TraceStop::Syscall { good: false }.code(), 5);
    assert_eq!(TraceStop::Signal(Signal::SIGHUP).code(), 1);
}

#[test]
fn causes_are_those_of_siginfo() {
    let cases = [
        (Event::Exited(ExitCode::exited(7)), libc::CLD_EXITED, 7),
        (Event::Exited(ExitCode::killed(Signal::SIGKILL, false)), libc::CLD_KILLED, 9),
        (Event::Exited(ExitCode::killed(Signal::SIGTRAP, true)), libc::CLD_DUMPED, 5),
        (Event::Trapped(5 | 3 << 8), libc::CLD_TRAPPED, 5 | 3 << 8),
        (Event::Stopped(Signal::SIGSTOP), libc::CLD_STOPPED, 19),
        (Event::Continued, libc::CLD_CONTINUED, 18),
    ];
    for (event, code, status) in cases {
        let bytes = report(event).siginfo().to_bytes();
        // SAFETY: both are 128 plain bytes, and libc's fields are those of the signal.
        let info: libc::siginfo_t = unsafe { std::mem::transmute(bytes) };
        assert_eq!((info.si_signo, info.si_errno, info.si_code), (libc::SIGCHLD, 0, code));
        // SAFETY: SIGCHLD has these.
        unsafe { assert_eq!((info.si_pid(), info.si_uid(), info.si_status()), (77, 1000, status)) };
    }
}

#[test]
fn a_signal_has_times_and_waitid_leaves_alone_what_it_does_not_store() {
    let info = SigInfo { signo: 17, utime: 12, stime: 34, ..SigInfo::default() };
    // SAFETY: both are 128 plain bytes.
    let read: libc::siginfo_t = unsafe { std::mem::transmute(info.to_bytes()) };
    // SAFETY: SIGCHLD has these.
    unsafe { assert_eq!((read.si_utime(), read.si_stime()), (12, 34)) };
    let mut bytes = [0x5a; 128];
    SigInfo::default().store(&mut bytes);
    for (at, &byte) in bytes.iter().enumerate() {
        assert_eq!(byte == 0, matches!(at, 0..12 | 16..28), "byte {at}");
    }
}

#[test]
fn usage_is_read_by_libc() {
    let usage = Usage {
        utime_ns: 1_500_001_999,
        stime_ns: 2_000_003_000,
        maxrss_kib: 3,
        minflt: 4,
        majflt: 5,
        inblock: 6,
        oublock: 7,
        nvcsw: 8,
        nivcsw: 9,
    };
    // SAFETY: both are 144 plain bytes.
    let read: libc::rusage = unsafe { std::mem::transmute(usage.to_bytes()) };
    assert_eq!((read.ru_utime.tv_sec, read.ru_utime.tv_usec), (1, 500_001));
    assert_eq!((read.ru_stime.tv_sec, read.ru_stime.tv_usec), (2, 3));
    assert_eq!((read.ru_maxrss, read.ru_minflt, read.ru_majflt), (3, 4, 5));
    assert_eq!((read.ru_inblock, read.ru_oublock, read.ru_nvcsw, read.ru_nivcsw), (6, 7, 8, 9));
    assert_eq!((read.ru_ixrss, read.ru_idrss, read.ru_isrss, read.ru_nswap), (0, 0, 0, 0));
    assert_eq!((read.ru_msgsnd, read.ru_msgrcv, read.ru_nsignals), (0, 0, 0));
    assert_eq!(usage.ticks(), (150, 200));
}

#[test]
fn usage_adds_up() {
    let one = Usage {
        utime_ns: 1,
        stime_ns: 2,
        maxrss_kib: 30,
        minflt: 4,
        majflt: 5,
        inblock: 6,
        oublock: 7,
        nvcsw: 8,
        nivcsw: 9,
    };
    let mut sum = Usage { utime_ns: u64::MAX, stime_ns: 10, maxrss_kib: 20, ..one };
    sum.add(&one);
    let expected = Usage {
        utime_ns: u64::MAX,
        stime_ns: 12,
        maxrss_kib: 30,
        minflt: 8,
        majflt: 10,
        inblock: 12,
        oublock: 14,
        nvcsw: 16,
        nivcsw: 18,
    };
    assert_eq!(sum, expected);
}

#[test]
fn requests_are_checked_as_linux_checks_them() {
    let own = Pgid::new(9).expect("an id");
    let wait4 = |pid, options| WaitRequest::wait4(pid, options, own).map(|r| (r.selector, r.options));
    assert_eq!(wait4(-1, 0), Ok((Selector::Any, WEXITED)));
    assert_eq!(wait4(0, WNOHANG), Ok((Selector::Group(own), WNOHANG | WEXITED)));
    assert_eq!(wait4(-5, WUNTRACED), Ok((Selector::Group(Pgid::new(5).expect("an id")), WUNTRACED | WEXITED)));
    assert_eq!(wait4(5, WCONTINUED), Ok((Selector::Task(tid(5)), WCONTINUED | WEXITED)));
    assert_eq!(wait4(i32::MAX, __WALL), Ok((Selector::Nothing, __WALL | WEXITED)));
    assert_eq!(wait4(i32::MIN + 1, __WCLONE), Ok((Selector::Nothing, __WCLONE | WEXITED)));
    assert_eq!(wait4(i32::MIN, 0), Err(Errno::ESRCH));
    assert_eq!(wait4(i32::MIN, WNOWAIT), Err(Errno::EINVAL));
    assert_eq!(wait4(1, WEXITED), Err(Errno::EINVAL));
    let pidfd = |task, nonblock| move |_| Ok::<_, Errno>(Pidfd { task, nonblock });
    let waitid = |idtype, id, options| {
        WaitRequest::waitid(idtype, id, options, own, pidfd(Some(tid(3)), true)).map(|r| (r.selector, r.again))
    };
    assert_eq!(waitid(P_ALL, -1, WEXITED), Ok((Selector::Any, false)));
    assert_eq!(waitid(P_PID, 3, WSTOPPED), Ok((Selector::Task(tid(3)), false)));
    assert_eq!(waitid(P_PGID, 0, WCONTINUED), Ok((Selector::Group(own), false)));
    assert_eq!(waitid(P_PIDFD, 0, WEXITED), Ok((Selector::Task(tid(3)), true)));
    assert_eq!(waitid(P_PIDFD, 0, WEXITED | WNOHANG), Ok((Selector::Task(tid(3)), false)));
    for (idtype, id, options) in
        [(P_PID, 0, WEXITED), (P_PGID, -1, WEXITED), (P_PIDFD, -1, WEXITED), (4, 1, WEXITED), (P_ALL, 0, WNOWAIT)]
    {
        assert_eq!(waitid(idtype, id, options), Err(Errno::EINVAL));
    }
    let gone = WaitRequest::waitid(P_PIDFD, 8, WEXITED, own, pidfd(None, false)).expect("good");
    assert_eq!((gone.selector, gone.again, gone.unready()), (Selector::Nothing, false, None));
    let bad = WaitRequest::waitid(P_PIDFD, 8, WEXITED, own, |_| Err(Errno::EPERM));
    assert_eq!(bad, Err(Errno::EPERM));
    let unready = |options, again| WaitRequest { selector: Selector::Any, options, again }.unready();
    assert_eq!(unready(WEXITED, false), None);
    assert_eq!(unready(WEXITED | WNOHANG, false), Some(Ok(())));
    assert_eq!(unready(WEXITED, true), Some(Err(Errno::EAGAIN)));
}
