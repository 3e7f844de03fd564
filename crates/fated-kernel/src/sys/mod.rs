//! System calls: decode, act, encode. One place, `enter`, takes them in; one table, `dispatch`, says who carries them out.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::guest::Call;
use crate::log;
use crate::record::{Ended, What};
use crate::table;
use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

pub mod clone;
pub mod copy;
pub mod directory;
pub mod epoll;
pub mod eventfd;
pub mod exec;
pub mod exit;
pub mod fd;
pub mod futex;
pub mod id;
pub mod info;
pub mod lock;
pub mod path;
pub mod pidfd;
pub mod poll;
pub mod prctl;
pub mod resource;
pub mod rw;
pub mod sched;
pub mod signal;
pub mod signalfd;
pub mod socket;
pub mod stat;
pub mod time;
pub mod timer;
pub mod timerfd;
pub mod wait;

/// How a call ends that doesn't fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this value.
    Value(u64),
    /// The real Linux carries it out as it stands; it doesn't block and its result needs no mending.
    Pass,
    /// The registers are what they shall be: sigreturn, exec.
    Resume,
    /// The task has ended.
    Away,
}

impl From<u64> for Outcome {
    fn from(value: u64) -> Outcome {
        Outcome::Value(value)
    }
}

/// What a call comes to.
pub type SysResult = Result<Outcome, Errno>;

/// The six arguments.
pub type Args = [u64; 6];

/// A call that may wait.
pub type Waiting = Pin<Box<dyn Future<Output = SysResult>>>;

/// A call after its first look.
pub enum Step {
    /// It is over.
    Now(SysResult),
    /// It may wait.
    Later(Waiting),
}

impl core::fmt::Debug for Step {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Step::Now(result) => write!(f, "Now({result:?})"),
            Step::Later(_) => f.write_str("Later"),
        }
    }
}

/// A call that answered at once with a number.
fn now(result: Result<u64, Errno>) -> Step {
    Step::Now(result.map(Outcome::Value))
}

/// A call that may wait.
fn later(future: impl Future<Output = SysResult> + 'static) -> Step {
    Step::Later(Box::pin(future))
}

impl Cx {
    /// A call of the task whose turn it is, which returns straight to guest code if it can: `Some` is what the guest then finds in
    /// `rax`. Nothing else of its registers has changed, and there was nothing for [`Kernel::next`] to decide.
    ///
    /// `None`: the call has been taken in as by [`Kernel::stopped`], and `next` says how the run goes on.
    ///
    /// [`Kernel::next`]: crate::kernel::Kernel::next
    /// [`Kernel::stopped`]: crate::kernel::Kernel::stopped
    #[must_use]
    pub fn answer(&self, call: Call) -> Option<u64> {
        let value = enter(self, &call)?;
        if self.task.passing.take() || self.kernel.runs_on(&self.task) {
            return Some(value);
        }
        self.task.guest.set_result(value);
        None
    }
}

/// A task has made a call. `Some`: it is over, and returns this value.
pub(crate) fn enter(cx: &Cx, call: &Call) -> Option<u64> {
    let (kernel, task) = (&cx.kernel, &cx.task);
    if table::is_free(call.number) {
        return free(cx, call);
    }
    kernel.stats.count(call.number);
    if kernel.config.log {
        note_arguments(cx, call);
    }
    let cost = kernel.config.call_cost_ns;
    task.cpu_ns.set(task.cpu_ns.get() + cost);
    timer::cpu_spent(cx);
    kernel.pass_time(cost);
    if task.is_gone() {
        // A timer has just killed its process.
        return finish(cx, Ok(Outcome::Away));
    }
    match dispatch(cx, call) {
        // Of most calls nothing more is to be said.
        Step::Now(Ok(Outcome::Value(value))) if !kernel.config.log && !task.is_gone() => Some(value),
        Step::Now(Ok(Outcome::Pass)) => pass(cx, call),
        Step::Now(result) => {
            task.call.set(*call);
            finish(cx, result)
        }
        Step::Later(future) => {
            task.call.set(*call);
            go_on(cx, future)
        }
    }
}

/// A call that only a log tells of: nothing else of the run may depend on it.
fn free(cx: &Cx, call: &Call) -> Option<u64> {
    cx.task.passing.set(true);
    if !cx.kernel.config.log {
        return Some(cx.task.guest.native(*call) as u64);
    }
    cx.kernel.stats.count(call.number);
    note_arguments(cx, call);
    cx.task.call.set(*call);
    finish(cx, Ok(Outcome::Pass))
}

/// Goes on with a call as far as it goes now. `Some`: it is over, and returns this value.
pub(crate) fn go_on(cx: &Cx, mut work: Waiting) -> Option<u64> {
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => {
            drop(work);
            finish(cx, result)
        }
        Poll::Pending => {
            if !cx.task.is_gone() {
                *cx.task.work.borrow_mut() = Some(work);
            }
            None
        }
    }
}

/// The real Linux carries out a call as it stands. If the task runs straight on, that may be when it does.
fn pass(cx: &Cx, call: &Call) -> Option<u64> {
    let task = &cx.task;
    task.passing.set(cx.kernel.runs_on(task));
    if task.passing.get() && !cx.kernel.config.log {
        cx.kernel.stats.native();
        return task.guest.pass(*call).map(|result| result as u64);
    }
    task.call.set(*call);
    finish(cx, Ok(Outcome::Pass))
}

/// What has become of a call. `Some`: it returns this value.
fn finish(cx: &Cx, result: SysResult) -> Option<u64> {
    let task = &cx.task;
    let result = match result {
        _ if task.is_gone() => Ok(Outcome::Away),
        Ok(Outcome::Pass) => {
            let call = task.call.get();
            cx.native(call.number, call.args).map(Outcome::Value)
        }
        result => result,
    };
    if cx.kernel.config.log {
        tell_log(cx, result);
    }
    match result {
        Ok(Outcome::Value(value)) => Some(value),
        Ok(Outcome::Pass | Outcome::Resume | Outcome::Away) => None,
        Err(
            error @ (Errno::ERESTARTSYS | Errno::ERESTARTNOINTR | Errno::ERESTARTNOHAND | Errno::ERESTART_RESTARTBLOCK),
        ) => {
            task.interrupted.set(Some(error));
            Some(-i64::from(Errno::EINTR.number()) as u64)
        }
        Err(error) => Some(-i64::from(error.number()) as u64),
    }
}

#[cold]
fn note_arguments(cx: &Cx, call: &Call) {
    *cx.task.logged.borrow_mut() = Some((*call, log::arguments(cx, *call)));
}

/// Tells the log of the call that the task is in, if that hasn't been done.
#[cold]
pub(crate) fn tell_log(cx: &Cx, result: SysResult) {
    let Some((call, mut args)) = cx.task.logged.take() else { return };
    let ended = match result {
        Ok(Outcome::Value(value)) => {
            log::add_results(cx, call, value, &mut args);
            Ended::Value(value)
        }
        Ok(_) => Ended::Away,
        Err(error) => Ended::Failed(error),
    };
    cx.kernel.record(&cx.task, What::Call { call, args, ended });
}

/// Who carries out what. A call that isn't here is refused, or native by the table.
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
fn dispatch(cx: &Cx, call: &Call) -> Step {
    use crate::sys::stat;
    use linux_raw_sys::general::*;
    let a = &call.args;
    let own = || cx.clone();
    match call.number as u32 {
        // tasks and processes
        __NR_fork => later(clone::fork(own())),
        __NR_vfork => later(clone::vfork(own())),
        __NR_clone => later(clone::clone(own(), *a)),
        __NR_clone3 => later(clone::clone3(own(), *a)),
        __NR_execve => Step::Now(exec::execve(cx, *a)),
        __NR_execveat => Step::Now(exec::execveat(cx, *a)),
        __NR_exit => Step::Now(exit::exit(cx, *a)),
        __NR_exit_group => Step::Now(exit::exit_group(cx, *a)),
        __NR_wait4 => later(wait::wait4(own(), *a)),
        __NR_waitid => later(wait::waitid(own(), *a)),
        // ids
        __NR_getpid => now(id::getpid(cx)),
        __NR_gettid => now(id::gettid(cx)),
        __NR_getppid => now(id::getppid(cx)),
        __NR_getpgid => now(id::getpgid(cx, *a)),
        __NR_getpgrp => now(id::getpgrp(cx)),
        __NR_setpgid => now(id::setpgid(cx, *a)),
        __NR_getsid => now(id::getsid(cx, *a)),
        __NR_setsid => now(id::setsid(cx)),
        __NR_getuid => now(id::getuid(cx)),
        __NR_geteuid => now(id::geteuid(cx)),
        __NR_getgid => now(id::getgid(cx)),
        __NR_getegid => now(id::getegid(cx)),
        __NR_getresuid => now(id::getresuid(cx, *a)),
        __NR_getresgid => now(id::getresgid(cx, *a)),
        __NR_setuid => now(id::setuid(cx, *a)),
        __NR_setgid => now(id::setgid(cx, *a)),
        __NR_setreuid => now(id::setreuid(cx, *a)),
        __NR_setregid => now(id::setregid(cx, *a)),
        __NR_setresuid => now(id::setresuid(cx, *a)),
        __NR_setresgid => now(id::setresgid(cx, *a)),
        __NR_setfsuid => now(id::setfsuid(cx, *a)),
        __NR_setfsgid => now(id::setfsgid(cx, *a)),
        __NR_getgroups => now(id::getgroups(cx, *a)),
        __NR_setgroups => now(id::setgroups(cx, *a)),
        __NR_capget => now(id::capget(cx, *a)),
        __NR_capset => now(id::capset(cx, *a)),
        __NR_set_tid_address => now(id::set_tid_address(cx, *a)),
        // signals
        __NR_kill => now(signal::kill(cx, *a)),
        __NR_tkill => now(signal::tkill(cx, *a)),
        __NR_tgkill => now(signal::tgkill(cx, *a)),
        __NR_rt_sigqueueinfo => now(signal::rt_sigqueueinfo(cx, *a)),
        __NR_rt_tgsigqueueinfo => now(signal::rt_tgsigqueueinfo(cx, *a)),
        __NR_rt_sigaction => now(signal::rt_sigaction(cx, *a)),
        __NR_rt_sigprocmask => now(signal::rt_sigprocmask(cx, *a)),
        __NR_rt_sigpending => now(signal::rt_sigpending(cx, *a)),
        __NR_sigaltstack => now(signal::sigaltstack(cx, *a)),
        __NR_rt_sigreturn => Step::Now(signal::rt_sigreturn(cx)),
        __NR_rt_sigsuspend => later(signal::rt_sigsuspend(own(), *a)),
        __NR_rt_sigtimedwait => later(signal::rt_sigtimedwait(own(), *a)),
        __NR_pause => later(signal::pause(own())),
        __NR_restart_syscall => restart(cx),
        // futexes
        __NR_futex => futex::futex(cx, *a),
        __NR_futex_waitv => futex::futex_waitv(cx, *a),
        __NR_futex_wake => now(futex::futex_wake(cx, *a)),
        __NR_futex_wait => futex::futex_wait(cx, *a),
        __NR_futex_requeue => now(futex::futex_requeue(cx, *a)),
        __NR_set_robust_list => now(futex::set_robust_list(cx, *a)),
        __NR_get_robust_list => now(futex::get_robust_list(cx, *a)),
        // time
        __NR_clock_gettime => now(time::clock_gettime(cx, *a)),
        __NR_clock_getres => now(time::clock_getres(cx, *a)),
        __NR_clock_settime => now(time::clock_settime(cx, *a)),
        __NR_gettimeofday => now(time::gettimeofday(cx, *a)),
        __NR_settimeofday => now(Err(Errno::EPERM)),
        __NR_time => now(time::time(cx, *a)),
        __NR_nanosleep => later(time::nanosleep(own(), *a)),
        __NR_clock_nanosleep => later(time::clock_nanosleep(own(), *a)),
        __NR_alarm => now(timer::alarm(cx, *a)),
        __NR_getitimer => now(timer::getitimer(cx, *a)),
        __NR_setitimer => now(timer::setitimer(cx, *a)),
        __NR_timer_create => now(timer::timer_create(cx, *a)),
        __NR_timer_settime => now(timer::timer_settime(cx, *a)),
        __NR_timer_gettime => now(timer::timer_gettime(cx, *a)),
        __NR_timer_getoverrun => now(timer::timer_getoverrun(cx, *a)),
        __NR_timer_delete => now(timer::timer_delete(cx, *a)),
        __NR_times => now(time::times(cx, *a)),
        // information and limits
        __NR_uname => now(info::uname(cx, *a)),
        __NR_sysinfo => now(info::sysinfo(cx, *a)),
        __NR_getrandom => now(info::getrandom(cx, *a)),
        __NR_getcpu => now(info::getcpu(cx, *a)),
        __NR_sethostname | __NR_setdomainname => now(Err(Errno::EPERM)),
        __NR_personality => now(info::personality(cx, *a)),
        __NR_getrusage => now(resource::getrusage(cx, *a)),
        __NR_getrlimit => now(resource::getrlimit(cx, *a)),
        __NR_setrlimit => now(resource::setrlimit(cx, *a)),
        __NR_prlimit64 => now(resource::prlimit64(cx, *a)),
        __NR_getpriority => now(resource::getpriority(cx, *a)),
        __NR_setpriority => now(resource::setpriority(cx, *a)),
        __NR_ioprio_get => now(Ok(4 << 13)),
        __NR_ioprio_set => now(Ok(0)),
        __NR_sched_yield => now(sched::sched_yield(cx)),
        __NR_sched_getaffinity => now(sched::sched_getaffinity(cx, *a)),
        __NR_sched_setaffinity => now(sched::sched_setaffinity(cx, *a)),
        __NR_sched_getscheduler => now(sched::sched_getscheduler(cx, *a)),
        __NR_sched_setscheduler => now(sched::sched_setscheduler(cx, *a)),
        __NR_sched_getparam => now(sched::sched_getparam(cx, *a)),
        __NR_sched_setparam => now(sched::sched_setparam(cx, *a)),
        __NR_sched_getattr => now(sched::sched_getattr(cx, *a)),
        __NR_sched_setattr => now(sched::sched_setattr(cx, *a)),
        __NR_sched_get_priority_max => now(sched::sched_get_priority_max(*a)),
        __NR_sched_get_priority_min => now(sched::sched_get_priority_min(*a)),
        __NR_sched_rr_get_interval => now(sched::sched_rr_get_interval(cx, *a)),
        __NR_membarrier => now(sched::membarrier(cx, *a)),
        __NR_rseq => now(Err(Errno::ENOSYS)),
        __NR_prctl => Step::Now(prctl::prctl(cx, *a)),
        __NR_arch_prctl => Step::Now(prctl::arch_prctl(cx, *a)),
        // descriptors
        __NR_read => rw::read(cx, *a),
        __NR_write => rw::write(cx, *a),
        __NR_readv => rw::readv(cx, *a),
        __NR_writev => rw::writev(cx, *a),
        __NR_pread64 => rw::pread64(cx, *a),
        __NR_pwrite64 => rw::pwrite64(cx, *a),
        __NR_preadv => rw::preadv(cx, *a),
        __NR_pwritev => rw::pwritev(cx, *a),
        __NR_preadv2 => rw::preadv2(cx, *a),
        __NR_pwritev2 => rw::pwritev2(cx, *a),
        __NR_sendfile => later(copy::sendfile(own(), *a)),
        __NR_splice => later(copy::splice(own(), *a)),
        __NR_tee => later(copy::tee(own(), *a)),
        __NR_vmsplice => Step::Now(copy::vmsplice(cx, *a)),
        __NR_copy_file_range => Step::Now(copy::copy_file_range(cx, *a)),
        __NR_lseek => Step::Now(rw::lseek(cx, *a)),
        __NR_ioctl => Step::Now(fd::ioctl(cx, *a)),
        __NR_close => Step::Now(fd::close(cx, *a)),
        __NR_close_range => Step::Now(fd::close_range(cx, *a)),
        __NR_dup => Step::Now(fd::dup(cx, *a)),
        __NR_dup2 => Step::Now(fd::dup2(cx, *a)),
        __NR_dup3 => Step::Now(fd::dup3(cx, *a)),
        __NR_fcntl => fd::fcntl(cx, *a),
        __NR_flock => lock::flock(cx, *a),
        __NR_pipe => now(fd::pipe(cx, *a)),
        __NR_pipe2 => now(fd::pipe2(cx, *a)),
        __NR_poll => later(poll::poll(own(), *a)),
        __NR_ppoll => later(poll::ppoll(own(), *a)),
        __NR_select => later(poll::select(own(), *a)),
        __NR_pselect6 => later(poll::pselect6(own(), *a)),
        __NR_epoll_create => now(epoll::epoll_create(cx, *a)),
        __NR_epoll_create1 => now(epoll::epoll_create1(cx, *a)),
        __NR_epoll_ctl => now(epoll::epoll_ctl(cx, *a)),
        __NR_epoll_wait => later(epoll::epoll_wait(own(), *a)),
        __NR_epoll_pwait => later(epoll::epoll_pwait(own(), *a)),
        __NR_epoll_pwait2 => later(epoll::epoll_pwait2(own(), *a)),
        __NR_eventfd => now(eventfd::eventfd(cx, *a)),
        __NR_eventfd2 => now(eventfd::eventfd2(cx, *a)),
        __NR_timerfd_create => now(timerfd::timerfd_create(cx, *a)),
        __NR_timerfd_settime => now(timerfd::timerfd_settime(cx, *a)),
        __NR_timerfd_gettime => now(timerfd::timerfd_gettime(cx, *a)),
        __NR_signalfd => now(signalfd::signalfd(cx, *a)),
        __NR_signalfd4 => now(signalfd::signalfd4(cx, *a)),
        __NR_socketpair => now(socket::socketpair(cx, *a)),
        __NR_sendto => later(socket::sendto(own(), *a)),
        __NR_recvfrom => later(socket::recvfrom(own(), *a)),
        __NR_sendmsg => later(socket::sendmsg(own(), *a)),
        __NR_recvmsg => later(socket::recvmsg(own(), *a)),
        __NR_shutdown => now(socket::shutdown(cx, *a)),
        __NR_getsockname | __NR_getpeername => now(socket::name(cx, *a)),
        __NR_getsockopt => now(socket::getsockopt(cx, *a)),
        __NR_setsockopt => now(socket::setsockopt(cx, *a)),
        __NR_pidfd_open => now(pidfd::pidfd_open(cx, *a)),
        __NR_pidfd_send_signal => now(pidfd::pidfd_send_signal(cx, *a)),
        __NR_pidfd_getfd => now(pidfd::pidfd_getfd(cx, *a)),
        // paths, files, directories
        __NR_open | __NR_creat | __NR_openat | __NR_openat2 => path::open(cx, *call),
        __NR_stat | __NR_lstat | __NR_fstat | __NR_newfstatat => now(stat::stat(cx, *call)),
        __NR_statx => now(stat::statx(cx, *a)),
        __NR_statfs | __NR_fstatfs => now(stat::statfs(cx, *call)),
        __NR_getdents | __NR_getdents64 => now(directory::getdents(cx, *call)),
        __NR_access | __NR_faccessat | __NR_faccessat2 => Step::Now(path::access(cx, *call)),
        __NR_readlink | __NR_readlinkat => Step::Now(path::readlink(cx, *call)),
        __NR_getcwd => Step::Now(path::getcwd(cx, *a)),
        __NR_utime | __NR_utimes | __NR_futimesat | __NR_utimensat => Step::Now(stat::utimes(cx, *call)),
        number if path::changes_names(number) => Step::Now(path::change(cx, *call)),
        _ => other(cx, *call),
    }
}

/// What the table says of a call that has no code here.
fn other(cx: &Cx, call: Call) -> Step {
    match table::call(call.number).map(|info| info.status) {
        Some(table::Status::Native) => Step::Now(Ok(Outcome::Pass)),
        _ => {
            cx.kernel.stats.refuse(call.number);
            now(Err(Errno::ENOSYS))
        }
    }
}

/// Goes on with a sleep that a signal without a handler interrupted, up to the same deadline.
fn restart(cx: &Cx) -> Step {
    match cx.task.restart.take() {
        Some((call, deadline)) => later(time::resume(cx.clone(), call, deadline)),
        None => now(Err(Errno::EINTR)),
    }
}
