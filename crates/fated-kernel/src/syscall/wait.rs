//! wait4(2) and waitid(2): fated-wait decides, this decodes, sleeps and encodes.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::SysResult;
use crate::sched::Woken;
use crate::syscall::Args;
use fated_wait::{Pidfd, Report, WaitOutcome, WaitRequest};

pub async fn wait4(cx: Cx, a: Args) -> SysResult {
    let [pid, status_addr, options, usage_addr, ..] = a;
    let own = crate::syscall::id::own_group(&cx)?;
    let request = WaitRequest::wait4(pid as i32, options as u32, own)?;
    let Some(report) = wait(&cx, &request).await? else { return Ok(0.into()) };
    // From here on the child is reaped, whatever the pointers are.
    if status_addr != 0 {
        cx.write_u32(status_addr, report.status())?;
    }
    if usage_addr != 0 {
        cx.write(usage_addr, &report.usage.to_bytes())?;
    }
    Ok(u64::from(report.tid.get()).into())
}

pub async fn waitid(cx: Cx, a: Args) -> SysResult {
    let [idtype, id, info_addr, options, usage_addr, _] = a;
    let own = crate::syscall::id::own_group(&cx)?;
    let pidfd = |fd| {
        let (pid, nonblock) = crate::syscall::pidfd::pidfd_target(&cx, fd)?;
        Ok::<_, Errno>(Pidfd { task: Some(pid.into()), nonblock })
    };
    let request = WaitRequest::waitid(idtype as u32, id as i32, options as u32, own, pidfd)?;
    let report = wait(&cx, &request).await?;
    if let Some(report) = &report
        && usage_addr != 0
    {
        cx.write(usage_addr, &report.usage.to_bytes())?;
    }
    if info_addr != 0 {
        let info = report.map(|report| report.siginfo()).unwrap_or_default();
        let mut bytes = [0; 128];
        info.store(&mut bytes);
        // Linux stores these fields one by one and leaves the rest alone.
        cx.write(info_addr, &bytes[..12])?;
        cx.write(info_addr.wrapping_add(16), &bytes[16..28])?;
    }
    Ok(0.into())
}

/// Waits; `None` if there is nothing yet and the caller doesn't want to sleep.
async fn wait(cx: &Cx, request: &WaitRequest) -> Result<Option<Report>, Errno> {
    let kernel = &cx.kernel;
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
            None => {}
        }
        kernel.family.borrow_mut().block(tid, request)?;
        let woken = cx.sleep(&[], None).await;
        kernel.family.borrow_mut().unblock(cx.task.tid.get());
        if woken == Woken::Signal {
            return Err(Errno::ERESTARTSYS);
        }
    }
}
