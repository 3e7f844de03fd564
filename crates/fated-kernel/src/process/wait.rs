//! Waiting for children (Linux: `do_wait`). fated-wait decides what a wait finds; here the caller sleeps.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::sched::Woken;
use fated_wait::{Report, WaitOutcome, WaitRequest};

/// Waits for whom `request` asks. `None`: there is nothing to report yet, and the caller doesn't want to sleep. The child that a report is
/// about has been reaped, unless the request leaves it.
pub(crate) async fn wait(cx: &Cx, request: &WaitRequest) -> Result<Option<Report>, Errno> {
    let kernel = &cx.kernel;
    let mut interrupted = false;
    loop {
        let tid = cx.task.tid.get();
        match kernel.family_event(|family, effects| family.wait(tid, request, effects))? {
            WaitOutcome::Found(report) => return Ok(Some(report)),
            WaitOutcome::NoChild => return Err(Errno::ECHILD),
            WaitOutcome::WouldBlock => {}
        }
        match request.unready() {
            Some(Ok(())) => return Ok(None),
            Some(Err(error)) => return Err(error.into()),
            // What the signal tells of may have ended the wait: a child that nobody has to reap.
            None if interrupted => return Err(Errno::ERESTARTSYS),
            None => {}
        }
        kernel.family.borrow_mut().block(tid, request)?;
        let woken = cx.sleep(&[], None).await;
        kernel.family.borrow_mut().unblock(cx.task.tid.get());
        interrupted = woken == Woken::Signal;
    }
}
