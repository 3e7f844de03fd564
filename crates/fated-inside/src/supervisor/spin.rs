//! Detects tasks that burn time without a call.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::sys;
use crate::protocol::control::Control;

/// The state when guests last made progress.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    stops: u64,
    running: u32,
    /// The processor time that the process that runs had used by then.
    used: Duration,
}

impl Spin {
    /// Whether one process has run for `limit` of processor time since a guest last entered the kernel.
    pub(crate) fn lasts(&mut self, control: &Control, limit: Duration) -> bool {
        let (stops, running) = (control.stops.load(SeqCst), control.running.load(SeqCst));
        let Some(used) = sys::processor_time(running as i32) else { return false };
        if (stops, running) != (self.stops, self.running) {
            *self = Spin { stops, running, used };
        }
        used.saturating_sub(self.used) >= limit
    }
}
