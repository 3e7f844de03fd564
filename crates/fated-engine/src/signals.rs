//! Signals for fated itself during a run: requests to end it, such as Ctrl-C, and a tick that interrupts whatever the engine waits
//! for.
//!
//! No handler restarts a call, so each of these signals ends a wait with `EINTR`. A signal that arrives just before a wait
//! begins is noticed at the next tick.

use crate::sys::{self, Os};
use std::cell::Cell;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Signals that are passed on to the guests the first time, and end the run the second time.
const ASKED: [i32; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM];
/// The signal of the limit of real time.
pub const TIMEOUT: i32 = libc::SIGALRM;
/// How long a signal may wait for a guest to stop. Then it ends the run.
const PATIENCE_NS: u64 = 1_000_000_000;
/// The signal of the tick. It is ignored by default, so that a late one does no harm.
const TICK: i32 = libc::SIGURG;

/// How often each signal of [`ASKED`] has arrived since the handlers were installed.
static COUNTS: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];
/// The time of the run is over.
static TIMED_OUT: AtomicBool = AtomicBool::new(false);
/// When the first signal has arrived that no kernel has got yet, in nanoseconds of the monotonic clock; 0 if there is none. And which.
static WAITING: (AtomicU64, AtomicI32) = (AtomicU64::new(0), AtomicI32::new(0));
/// The number of runs of this process that use the handlers, and the actions that the handlers replaced.
static INSTALLED: Mutex<(usize, Vec<(i32, SavedAction)>)> = Mutex::new((0, Vec::new()));

struct SavedAction(libc::sigaction);

// SAFETY: a `sigaction` is plain data; its function pointers belong to the process, not to a thread.
unsafe impl Send for SavedAction {}

extern "C" fn count(signal: i32) {
    if let Some(at) = ASKED.iter().position(|&asked| asked == signal) {
        COUNTS[at].fetch_add(1, Relaxed);
        if WAITING.0.load(Relaxed) == 0 {
            WAITING.1.store(signal, Relaxed);
            WAITING.0.store(now_ns(), Relaxed);
        }
    }
    if signal == TIMEOUT {
        TIMED_OUT.store(true, Relaxed);
    }
}

/// The monotonic clock. A handler may call this.
fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is what the call fills.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

/// Ends all runs of this process after some real time; `None` takes that back.
pub fn set_timeout(limit: Option<Duration>) {
    TIMED_OUT.store(false, Relaxed);
    // The handler comes before the timer and stays: a short limit may end before a run begins, or as it ends.
    if limit.is_some() {
        replace(TIMEOUT, &action(count as extern "C" fn(i32) as usize, 0));
    }
    let limit = limit.map_or(Duration::ZERO, |limit| limit.max(Duration::from_micros(1)));
    let value = libc::timeval { tv_sec: limit.as_secs() as i64, tv_usec: i64::from(limit.subsec_micros()) };
    let once = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: value };
    // SAFETY: the timer's value is valid for the call.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const once, ptr::null_mut()) };
}

fn action(handler: usize, flags: i32) -> libc::sigaction {
    // SAFETY: all bytes zero are a valid `sigaction`: no handler, no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    action
}

fn replace(signal: i32, new: &libc::sigaction) -> Option<(i32, SavedAction)> {
    // SAFETY: all bytes zero are a valid `sigaction`.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both are valid actions; `count` does nothing that a handler may not do.
    let result = unsafe { libc::sigaction(signal, &raw const *new, &raw mut old) };
    (result == 0).then_some((signal, SavedAction(old)))
}

fn install() {
    let mut installed = INSTALLED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    installed.0 += 1;
    if installed.0 > 1 {
        return;
    }
    COUNTS.iter().for_each(|count| count.store(0, Relaxed));
    WAITING.0.store(0, Relaxed);
    let counting = action(count as extern "C" fn(i32) as usize, 0);
    let mut saved: Vec<_> = ASKED.iter().chain([&TICK]).filter_map(|&signal| replace(signal, &counting)).collect();
    // Some parents leave SIGCHLD ignored. Linux would then reap fated's children itself.
    saved.extend(replace(libc::SIGCHLD, &action(libc::SIG_DFL, libc::SA_NOCLDSTOP)));
    installed.1 = saved;
}

fn uninstall() {
    let mut installed = INSTALLED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    installed.0 -= 1;
    if installed.0 == 0 {
        for (signal, old) in std::mem::take(&mut installed.1) {
            replace(signal, &old.0);
        }
    }
}

/// The signal that ends all runs of this process at once: `SIGTERM`, any that has arrived twice, or one that no guest has taken for
/// some time, since the guest that runs computes. [`TIMEOUT`] stands for the limit of real time.
pub fn fatal() -> Option<i32> {
    if TIMED_OUT.load(Relaxed) {
        return Some(TIMEOUT);
    }
    let since = WAITING.0.load(Relaxed);
    if since != 0 && now_ns().saturating_sub(since) > PATIENCE_NS {
        return Some(WAITING.1.load(Relaxed));
    }
    let now = counts();
    (0..4).find(|&at| now[at] >= if ASKED[at] == libc::SIGTERM { 1 } else { 2 }).map(|at| ASKED[at])
}

/// Ends this process by a signal, without a core file. Returns if that can't be: the signal is blocked, or ends no process.
pub fn die_of(signal: i32) {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is valid for the call; the others take numbers.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// The handlers of one run, until dropped.
#[derive(Debug)]
pub struct Signals {
    /// The counts of the signals that the kernel has got.
    passed: Cell<[u32; 4]>,
    timer: Cell<Option<libc::timer_t>>,
}

fn counts() -> [u32; 4] {
    [0, 1, 2, 3].map(|at| COUNTS[at].load(Relaxed))
}

impl Signals {
    /// Installs the handlers.
    pub fn install() -> Signals {
        install();
        Signals { passed: Cell::new(counts()), timer: Cell::new(None) }
    }

    /// Interrupts this thread's waits every `interval` from now on. Further calls change nothing.
    pub fn tick_every(&self, interval: Duration) -> Os<()> {
        if self.timer.get().is_some() {
            return Ok(());
        }
        // SAFETY: all bytes zero are a valid `sigevent`.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = TICK;
        // SAFETY: takes nothing.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = ptr::null_mut();
        // SAFETY: both are valid for the call.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) } < 0 {
            return Err(sys::last());
        }
        let every = libc::timespec { tv_sec: interval.as_secs() as i64, tv_nsec: i64::from(interval.subsec_nanos()) };
        let spec = libc::itimerspec { it_interval: every, it_value: every };
        self.timer.set(Some(timer));
        // SAFETY: the timer has just been made.
        if unsafe { libc::timer_settime(timer, 0, &raw const spec, ptr::null_mut()) } < 0 {
            return Err(sys::last());
        }
        Ok(())
    }

    fn stop_ticking(&self) {
        if let Some(timer) = self.timer.take() {
            // SAFETY: the timer was made by `tick_every` and is deleted once.
            unsafe { libc::timer_delete(timer) };
        }
    }

    /// Takes a signal that the kernel hasn't got yet.
    pub fn next(&self) -> Option<i32> {
        let (now, mut passed) = (counts(), self.passed.get());
        let Some(at) = (0..4).find(|&at| now[at] != passed[at]) else {
            WAITING.0.store(0, Relaxed);
            return None;
        };
        passed[at] = now[at];
        self.passed.set(passed);
        Some(ASKED[at])
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.stop_ticking();
        uninstall();
    }
}
