//! When a process that gives its turn away yields the processor before it goes to sleep.
//!
//! Between two processes that answer each other, the turn is back by then: one real call for a hand-over instead of two. Where
//! others want the processor, too, a yield would give it to them for a whole slice of Linux's; so now and then one is timed, and
//! where they take long, or the turn isn't back, there are none for a while. Nothing that guests see depends on it.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use linux_raw_sys::general::{__NR_clock_gettime, CLOCK_MONOTONIC};

use crate::sys;

/// How many yields are taken on trust after one that was timed.
const TRUST: u32 = 64;
/// A turn that is back after so long hasn't gained from it.
const LONG_NS: u64 = 50_000;
/// For how many hand-overs there are none after one that took long: once, as where a process has just begun, and if others do again.
const BUSY: [u32; 2] = [100, 20_000];
/// The same after one that was of no use.
const USELESS: u32 = 30;

/// What experience says. Whoever has yielded in vain notes so while another process runs.
#[derive(Default)]
pub struct Yielding {
    /// For how many hand-overs there are none.
    pause: AtomicU32,
    /// How many are taken on trust.
    trust: AtomicU32,
    /// How many that were timed have taken long, one after another.
    long: AtomicU32,
}

/// A yield that is about to happen: since when, if it is timed.
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

    /// It has yielded; `back` tells whether its turn has come.
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
