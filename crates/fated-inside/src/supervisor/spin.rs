//! Detects tasks that burn time without a call.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use fated_engine::COMPUTES_AFTER;

use super::sys;
use crate::protocol::control::Control;

/// The state when guests last made progress.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    stops: u64,
    running: u32,
    /// The processor time that the process that runs had used by then.
    used: Duration,
    /// When that was, in real time.
    since: Option<Instant>,
    /// The user has been told.
    told: bool,
}

impl Spin {
    /// Whether one process has run for `limit` of processor time since a guest last entered the kernel.
    pub(crate) fn lasts(&mut self, control: &Control, limit: Duration) -> bool {
        let (stops, running) = (control.stops.load(SeqCst), control.running.load(SeqCst));
        let Some(used) = sys::processor_time(running as i32) else { return false };
        if (stops, running) != (self.stops, self.running) {
            *self = Spin { stops, running, used, ..Spin::default() };
        }
        used.saturating_sub(self.used) >= limit
    }

    /// The task to tell the user of, since it has run for long without entering the kernel: its id and the name of its program.
    #[expect(clippy::disallowed_methods, reason = "the user is told after some real time; guests don't see it")]
    pub(crate) fn is_notable(&mut self, control: &Control) -> Option<(u32, String)> {
        let now = Instant::now();
        let (stops, running) = (control.stops.load(SeqCst), control.running.load(SeqCst));
        if (stops, running) != (self.stops, self.running) {
            let used = sys::processor_time(running as i32).unwrap_or_default();
            *self = Spin { stops, running, used, ..Spin::default() };
        }
        let since = *self.since.get_or_insert(now);
        if self.told || now.duration_since(since) < COMPUTES_AFTER {
            return None;
        }
        self.told = true;
        let name = std::fs::read_to_string(format!("/proc/{running}/comm")).ok()?;
        Some((control.task.load(SeqCst), name.trim_end().to_owned()))
    }
}
