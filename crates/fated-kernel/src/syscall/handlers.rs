//! Which function carries out which system call.

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::Step;
use crate::syscall::{
    change, clone, copy, directory, epoll, eventfd, exec, exit, fd, futex, id, info, ioprio, later, lock, mm, now,
    open, path, pidfd, poll, prctl, resource, rw, sched, signal, signalfd, socket, sockopt, table, time, timer,
    timerfd, wait,
};

/// Begins a call: ends it at once, or makes the future that goes on with it.
type Handler = fn(&Cx, &Call) -> Step;

/// The handler of a call. A number that isn't here is native or refused, as the table says.
#[inline(always)]
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
pub(super) fn handler(number: u32) -> Handler {
    use crate::syscall::stat;
    use linux_raw_sys::general::*;
    match number {
        // tasks and processes
        __NR_fork => |cx, _| later(cx, clone::fork(cx.clone())),
        __NR_vfork => |cx, _| later(cx, clone::vfork(cx.clone())),
        __NR_clone => |cx, call| later(cx, clone::clone(cx.clone(), call.args)),
        __NR_clone3 => |cx, call| later(cx, clone::clone3(cx.clone(), call.args)),
        __NR_execve => |cx, call| now(exec::execve(cx, call.args)),
        __NR_execveat => |cx, call| now(exec::execveat(cx, call.args)),
        __NR_exit => |cx, call| now(exit::exit(cx, call.args)),
        __NR_exit_group => |cx, call| now(exit::exit_group(cx, call.args)),
        __NR_wait4 => |cx, call| later(cx, wait::wait4(cx.clone(), call.args)),
        __NR_waitid => |cx, call| later(cx, wait::waitid(cx.clone(), call.args)),
        // ids
        __NR_getpid => |cx, _| now(id::getpid(cx)),
        __NR_gettid => |cx, _| now(id::gettid(cx)),
        __NR_getppid => |cx, _| now(id::getppid(cx)),
        __NR_getpgid => |cx, call| now(id::getpgid(cx, call.args)),
        __NR_getpgrp => |cx, _| now(id::getpgrp(cx)),
        __NR_setpgid => |cx, call| now(id::setpgid(cx, call.args)),
        __NR_getsid => |cx, call| now(id::getsid(cx, call.args)),
        __NR_setsid => |cx, _| now(id::setsid(cx)),
        __NR_getuid => |cx, _| now(id::getuid(cx)),
        __NR_geteuid => |cx, _| now(id::geteuid(cx)),
        __NR_getgid => |cx, _| now(id::getgid(cx)),
        __NR_getegid => |cx, _| now(id::getegid(cx)),
        __NR_getresuid => |cx, call| now(id::getresuid(cx, call.args)),
        __NR_getresgid => |cx, call| now(id::getresgid(cx, call.args)),
        __NR_setuid => |cx, call| now(id::setuid(cx, call.args)),
        __NR_setgid => |cx, call| now(id::setgid(cx, call.args)),
        __NR_setreuid => |cx, call| now(id::setreuid(cx, call.args)),
        __NR_setregid => |cx, call| now(id::setregid(cx, call.args)),
        __NR_setresuid => |cx, call| now(id::setresuid(cx, call.args)),
        __NR_setresgid => |cx, call| now(id::setresgid(cx, call.args)),
        __NR_setfsuid => |cx, call| now(id::setfsuid(cx, call.args)),
        __NR_setfsgid => |cx, call| now(id::setfsgid(cx, call.args)),
        __NR_getgroups => |cx, call| now(id::getgroups(cx, call.args)),
        __NR_setgroups => |cx, call| now(id::setgroups(cx, call.args)),
        __NR_capget => |cx, call| now(id::capget(cx, call.args)),
        __NR_capset => |cx, call| now(id::capset(cx, call.args)),
        __NR_set_tid_address => |cx, call| now(id::set_tid_address(cx, call.args)),
        // signals
        __NR_kill => |cx, call| now(signal::kill(cx, call.args)),
        __NR_tkill => |cx, call| now(signal::tkill(cx, call.args)),
        __NR_tgkill => |cx, call| now(signal::tgkill(cx, call.args)),
        __NR_rt_sigqueueinfo => |cx, call| now(signal::rt_sigqueueinfo(cx, call.args)),
        __NR_rt_tgsigqueueinfo => |cx, call| now(signal::rt_tgsigqueueinfo(cx, call.args)),
        __NR_rt_sigaction => |cx, call| now(signal::rt_sigaction(cx, call.args)),
        __NR_rt_sigprocmask => |cx, call| now(signal::rt_sigprocmask(cx, call.args)),
        __NR_rt_sigpending => |cx, call| now(signal::rt_sigpending(cx, call.args)),
        __NR_sigaltstack => |cx, call| now(signal::sigaltstack(cx, call.args)),
        __NR_rt_sigreturn => |cx, _| now(signal::rt_sigreturn(cx)),
        __NR_rt_sigsuspend => |cx, call| later(cx, signal::rt_sigsuspend(cx.clone(), call.args)),
        __NR_rt_sigtimedwait => |cx, call| later(cx, signal::rt_sigtimedwait(cx.clone(), call.args)),
        __NR_pause => |cx, _| later(cx, signal::pause(cx.clone())),
        __NR_restart_syscall => |cx, _| restart(cx),
        // futexes
        __NR_futex => |cx, call| futex::futex(cx, call.args),
        __NR_futex_waitv => |cx, call| futex::futex_waitv(cx, call.args),
        __NR_futex_wake => |cx, call| now(futex::futex_wake(cx, call.args)),
        __NR_futex_wait => |cx, call| futex::futex_wait(cx, call.args),
        __NR_futex_requeue => |cx, call| now(futex::futex_requeue(cx, call.args)),
        __NR_set_robust_list => |cx, call| now(futex::set_robust_list(cx, call.args)),
        __NR_get_robust_list => |cx, call| now(futex::get_robust_list(cx, call.args)),
        // time
        __NR_clock_gettime => |cx, call| now(time::clock_gettime(cx, call.args)),
        __NR_clock_getres => |cx, call| now(time::clock_getres(cx, call.args)),
        __NR_clock_settime => |cx, call| now(time::clock_settime(cx, call.args)),
        __NR_gettimeofday => |cx, call| now(time::gettimeofday(cx, call.args)),
        __NR_settimeofday => |_, _| Step::Failed(Errno::EPERM),
        __NR_time => |cx, call| now(time::time(cx, call.args)),
        __NR_nanosleep => |cx, call| later(cx, time::nanosleep(cx.clone(), call.args)),
        __NR_clock_nanosleep => |cx, call| later(cx, time::clock_nanosleep(cx.clone(), call.args)),
        __NR_alarm => |cx, call| now(timer::alarm(cx, call.args)),
        __NR_getitimer => |cx, call| now(timer::getitimer(cx, call.args)),
        __NR_setitimer => |cx, call| now(timer::setitimer(cx, call.args)),
        __NR_timer_create => |cx, call| now(timer::timer_create(cx, call.args)),
        __NR_timer_settime => |cx, call| now(timer::timer_settime(cx, call.args)),
        __NR_timer_gettime => |cx, call| now(timer::timer_gettime(cx, call.args)),
        __NR_timer_getoverrun => |cx, call| now(timer::timer_getoverrun(cx, call.args)),
        __NR_timer_delete => |cx, call| now(timer::timer_delete(cx, call.args)),
        __NR_times => |cx, call| now(time::times(cx, call.args)),
        // memory
        __NR_mmap => |cx, call| now(mm::mmap(cx, call.args)),
        __NR_munmap => |cx, call| now(mm::munmap(cx, call.args)),
        __NR_mprotect => |cx, call| now(mm::mprotect(cx, call.args)),
        __NR_mremap => |cx, call| now(mm::mremap(cx, call.args)),
        __NR_brk => |cx, call| now(mm::brk(cx, call.args)),
        __NR_mlock | __NR_mlock2 => |cx, call| now(mm::mlock(cx, call.args)),
        // information and limits
        __NR_uname => |cx, call| now(info::uname(cx, call.args)),
        __NR_sysinfo => |cx, call| now(info::sysinfo(cx, call.args)),
        __NR_getrandom => |cx, call| now(info::getrandom(cx, call.args)),
        __NR_getcpu => |cx, call| now(info::getcpu(cx, call.args)),
        __NR_sethostname | __NR_setdomainname => |_, _| Step::Failed(Errno::EPERM),
        __NR_personality => |cx, call| now(info::personality(cx, call.args)),
        __NR_getrusage => |cx, call| now(resource::getrusage(cx, call.args)),
        __NR_getrlimit => |cx, call| now(resource::getrlimit(cx, call.args)),
        __NR_setrlimit => |cx, call| now(resource::setrlimit(cx, call.args)),
        __NR_prlimit64 => |cx, call| now(resource::prlimit64(cx, call.args)),
        __NR_getpriority => |cx, call| now(resource::getpriority(cx, call.args)),
        __NR_setpriority => |cx, call| now(resource::setpriority(cx, call.args)),
        __NR_ioprio_get => |cx, call| now(ioprio::ioprio_get(cx, call.args)),
        __NR_ioprio_set => |cx, call| now(ioprio::ioprio_set(cx, call.args)),
        __NR_sched_yield => |cx, _| now(sched::sched_yield(cx)),
        __NR_sched_getaffinity => |cx, call| now(sched::sched_getaffinity(cx, call.args)),
        __NR_sched_setaffinity => |cx, call| now(sched::sched_setaffinity(cx, call.args)),
        __NR_sched_getscheduler => |cx, call| now(sched::sched_getscheduler(cx, call.args)),
        __NR_sched_setscheduler => |cx, call| now(sched::sched_setscheduler(cx, call.args)),
        __NR_sched_getparam => |cx, call| now(sched::sched_getparam(cx, call.args)),
        __NR_sched_setparam => |cx, call| now(sched::sched_setparam(cx, call.args)),
        __NR_sched_getattr => |cx, call| now(sched::sched_getattr(cx, call.args)),
        __NR_sched_setattr => |cx, call| now(sched::sched_setattr(cx, call.args)),
        __NR_sched_get_priority_max => |_, call| now(sched::sched_get_priority_max(call.args)),
        __NR_sched_get_priority_min => |_, call| now(sched::sched_get_priority_min(call.args)),
        __NR_sched_rr_get_interval => |cx, call| now(sched::sched_rr_get_interval(cx, call.args)),
        __NR_membarrier => |cx, call| now(sched::membarrier(cx, call.args)),
        __NR_rseq => |_, _| Step::Failed(Errno::ENOSYS),
        __NR_prctl => |cx, call| now(prctl::prctl(cx, call.args)),
        __NR_arch_prctl => |cx, call| now(prctl::arch_prctl(cx, call.args)),
        // descriptors
        __NR_read => |cx, call| rw::read(cx, call.args),
        __NR_write => |cx, call| rw::write(cx, call.args),
        __NR_readv => |cx, call| rw::readv(cx, call.args),
        __NR_writev => |cx, call| rw::writev(cx, call.args),
        __NR_pread64 => |cx, call| rw::pread64(cx, call.args),
        __NR_pwrite64 => |cx, call| rw::pwrite64(cx, call.args),
        __NR_preadv => |cx, call| rw::preadv(cx, call.args),
        __NR_pwritev => |cx, call| rw::pwritev(cx, call.args),
        __NR_preadv2 => |cx, call| rw::preadv2(cx, call.args),
        __NR_pwritev2 => |cx, call| rw::pwritev2(cx, call.args),
        __NR_sendfile => |cx, call| later(cx, copy::sendfile(cx.clone(), call.args)),
        __NR_splice => |cx, call| later(cx, copy::splice(cx.clone(), call.args)),
        __NR_tee => |cx, call| later(cx, copy::tee(cx.clone(), call.args)),
        __NR_vmsplice => |cx, call| now(copy::vmsplice(cx, call.args)),
        __NR_copy_file_range => |cx, call| now(copy::copy_file_range(cx, call.args)),
        __NR_lseek => |cx, call| now(rw::lseek(cx, call.args)),
        __NR_ioctl => |cx, call| now(fd::ioctl(cx, call.args)),
        __NR_close => |cx, call| now(fd::close(cx, call.args)),
        __NR_close_range => |cx, call| now(fd::close_range(cx, call.args)),
        __NR_dup => |cx, call| now(fd::dup(cx, call.args)),
        __NR_dup2 => |cx, call| now(fd::dup2(cx, call.args)),
        __NR_dup3 => |cx, call| now(fd::dup3(cx, call.args)),
        __NR_fcntl => |cx, call| fd::fcntl(cx, call.args),
        __NR_memfd_create => |cx, call| now(fd::memfd_create(cx, call.args)),
        __NR_flock => |cx, call| lock::flock(cx, call.args),
        __NR_pipe => |cx, call| now(fd::pipe(cx, call.args)),
        __NR_pipe2 => |cx, call| now(fd::pipe2(cx, call.args)),
        __NR_poll => |cx, call| later(cx, poll::poll(cx.clone(), call.args)),
        __NR_ppoll => |cx, call| later(cx, poll::ppoll(cx.clone(), call.args)),
        __NR_select => |cx, call| later(cx, poll::select(cx.clone(), call.args)),
        __NR_pselect6 => |cx, call| later(cx, poll::pselect6(cx.clone(), call.args)),
        __NR_epoll_create => |cx, call| now(epoll::epoll_create(cx, call.args)),
        __NR_epoll_create1 => |cx, call| now(epoll::epoll_create1(cx, call.args)),
        __NR_epoll_ctl => |cx, call| now(epoll::epoll_ctl(cx, call.args)),
        __NR_epoll_wait => |cx, call| later(cx, epoll::epoll_wait(cx.clone(), call.args)),
        __NR_epoll_pwait => |cx, call| later(cx, epoll::epoll_pwait(cx.clone(), call.args)),
        __NR_epoll_pwait2 => |cx, call| later(cx, epoll::epoll_pwait2(cx.clone(), call.args)),
        __NR_eventfd => |cx, call| now(eventfd::eventfd(cx, call.args)),
        __NR_eventfd2 => |cx, call| now(eventfd::eventfd2(cx, call.args)),
        __NR_timerfd_create => |cx, call| now(timerfd::timerfd_create(cx, call.args)),
        __NR_timerfd_settime => |cx, call| now(timerfd::timerfd_settime(cx, call.args)),
        __NR_timerfd_gettime => |cx, call| now(timerfd::timerfd_gettime(cx, call.args)),
        __NR_signalfd => |cx, call| now(signalfd::signalfd(cx, call.args)),
        __NR_signalfd4 => |cx, call| now(signalfd::signalfd4(cx, call.args)),
        __NR_socketpair => |cx, call| now(socket::socketpair(cx, call.args)),
        __NR_sendto => |cx, call| later(cx, socket::sendto(cx.clone(), call.args)),
        __NR_recvfrom => |cx, call| later(cx, socket::recvfrom(cx.clone(), call.args)),
        __NR_sendmsg => |cx, call| later(cx, socket::sendmsg(cx.clone(), call.args)),
        __NR_recvmsg => |cx, call| later(cx, socket::recvmsg(cx.clone(), call.args)),
        __NR_shutdown => |cx, call| now(socket::shutdown(cx, call.args)),
        __NR_getsockname | __NR_getpeername => |cx, call| now(socket::name(cx, call.args)),
        __NR_getsockopt => |cx, call| now(sockopt::getsockopt(cx, call.args)),
        __NR_setsockopt => |cx, call| now(sockopt::setsockopt(cx, call.args)),
        __NR_pidfd_open => |cx, call| now(pidfd::pidfd_open(cx, call.args)),
        __NR_pidfd_send_signal => |cx, call| now(pidfd::pidfd_send_signal(cx, call.args)),
        __NR_pidfd_getfd => |cx, call| now(pidfd::pidfd_getfd(cx, call.args)),
        // paths, files, directories
        __NR_open | __NR_creat | __NR_openat | __NR_openat2 => |cx, call| open::open(cx, call),
        __NR_stat | __NR_lstat | __NR_fstat | __NR_newfstatat => |cx, call| now(stat::stat(cx, *call)),
        __NR_statx => |cx, call| now(stat::statx(cx, call.args)),
        __NR_statfs | __NR_fstatfs => |cx, call| now(stat::statfs(cx, *call)),
        __NR_getdents | __NR_getdents64 => |cx, call| now(directory::getdents(cx, *call)),
        __NR_access | __NR_faccessat | __NR_faccessat2 => |cx, call| now(path::access(cx, *call)),
        __NR_readlink | __NR_readlinkat => |cx, call| now(path::readlink(cx, *call)),
        __NR_getcwd => |cx, call| now(path::getcwd(cx, call.args)),
        __NR_umask => |cx, call| now(path::umask(cx, call.args)),
        __NR_utime | __NR_utimes | __NR_futimesat | __NR_utimensat => |cx, call| now(stat::utimes(cx, *call)),
        _ => |cx, call| other(cx, *call),
    }
}

/// The handler of all other numbers: calls that change names ([`change::change`]), and those that are native or refused by the table.
fn other(cx: &Cx, call: Call) -> Step {
    if change::changes_names(call.number as u32) {
        return now(change::change(cx, call));
    }
    match table::call(call.number).map(|info| info.status) {
        Some(table::Status::Native) => Step::Pass,
        _ => Step::Failed(socket::optional(&call).unwrap_or_else(|| {
            cx.kernel.stats.refuse(call.number);
            Errno::ENOSYS
        })),
    }
}

/// restart_syscall(2): goes on with a sleep that a signal without a handler interrupted, up to the same deadline.
fn restart(cx: &Cx) -> Step {
    match cx.task.restart.take() {
        Some((call, deadline)) => later(cx, time::resume(cx.clone(), call, deadline)),
        None => Step::Failed(Errno::EINTR),
    }
}
