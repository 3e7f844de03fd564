//! Whether a process that gives up its turn yields the processor before it sleeps.
//!
//! Between two processes that answer each other, the turn is back after the yield. A hand-over then takes one real
//! call instead of two. Where other programs want the processor, a yield may cost a whole time slice of Linux. So a
//! yield is timed now and then. If it took long or brought no turn, yields stop for a while. Guests can't see any of
//! it.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use linux_raw_sys::general::{__NR_clock_gettime, CLOCK_MONOTONIC};

use crate::sys;

/// How many yields follow a timed one untimed.
const TRUST: u32 = 64;
/// A timed yield that takes longer than this was no gain.
const LONG_NS: u64 = 50_000;
/// For how many hand-overs yields stop after a long one: the first time, when a process may just have started, and
/// when it happens again.
const BUSY: [u32; 2] = [100, 20_000];
/// For how many hand-overs yields stop after one that brought no turn.
const USELESS: u32 = 30;

/// Measurements of recent yields. A process updates them after its yield, when another one may run already: hence
/// atomics.
#[derive(Default)]
pub struct Yielding {
    /// For how many hand-overs there are no yields.
    pause: AtomicU32,
    /// How many of the next yields are untimed.
    trust: AtomicU32,
    /// How many timed yields in a row took long.
    long: AtomicU32,
}

/// A yield that is about to happen, with its start if it is timed.
pub struct Watch(Option<u64>);

fn now() -> u64 {
    let mut time = [0_u64; 2];
    sys::call(__NR_clock_gettime, [u64::from(CLOCK_MONOTONIC), time.as_mut_ptr() as u64, 0, 0, 0, 0]);
    time[0] * 1_000_000_000 + time[1]
}

impl Yielding {
    /// Whether to yield at this hand-over.
    pub fn begin(&self) -> Option<Watch> {
        if let Some(left) = self.pause.load(Relaxed).checked_sub(1) {
            self.pause.store(left, Relaxed);
            return None;
        }
        let timed = self.trust.load(Relaxed) == 0;
        self.trust.store(if timed { TRUST } else { self.trust.load(Relaxed) - 1 }, Relaxed);
        Some(Watch(timed.then(now)))
    }

    /// The process has yielded. `back`: it has its turn again.
    pub fn end(&self, watch: Watch, back: bool) {
        let long = watch.0.map(|since| now().saturating_sub(since) > LONG_NS);
        let before = self.long.load(Relaxed);
        if let Some(long) = long {
            self.long.store(if long { before.saturating_add(1) } else { 0 }, Relaxed);
        }
        if long == Some(true) {
            self.pause.store(BUSY[before.min(1) as usize], Relaxed);
            self.trust.store(0, Relaxed);
        } else if !back {
            self.pause.store(USELESS, Relaxed);
        }
    }
}
