//! Detects tasks that burn time without a call.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use fated_engine::COMPUTES_AFTER;

use super::sys;
use crate::protocol::control::Control;

/// How long a guest has run since one last entered the kernel.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    stops: u64,
    running: u32,
    /// The processor time that the process that runs had used by then.
    before: Duration,
    /// What it has used since then.
    used: Duration,
    /// When it was first seen so, in real time.
    since: Option<Instant>,
    /// The user has been told.
    told: bool,
}

impl Spin {
    /// Looks at the guest that runs, and begins anew if one has entered the kernel.
    pub(crate) fn follow(&mut self, control: &Control) {
        let (stops, running) = (control.stops.load(SeqCst), control.running.load(SeqCst));
        let now = sys::processor_time(running as i32).unwrap_or_default();
        if (stops, running) != (self.stops, self.running) {
            *self = Spin { stops, running, before: now, ..Spin::default() };
        }
        self.used = now.saturating_sub(self.before);
    }

    /// Whether one process has run for `limit` of processor time.
    pub(crate) fn lasts(&self, limit: Duration) -> bool {
        self.used >= limit
    }

    /// The name of the program to tell the user of, once, since it has run for long.
    #[expect(clippy::disallowed_methods, reason = "the user is told after some real time; guests don't see it")]
    pub(crate) fn is_notable(&mut self) -> Option<String> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.told || since.elapsed() < COMPUTES_AFTER {
            return None;
        }
        self.told = true;
        let name = std::fs::read_to_string(format!("/proc/{}/comm", self.running)).ok()?;
        Some(name.trim_end().to_owned())
    }
}
