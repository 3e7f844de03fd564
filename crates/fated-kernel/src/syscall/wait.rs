//! wait4(2) and waitid(2). What they do is in [`crate::process::wait`].

use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::SysResult;
use crate::process::wait::wait;
use crate::syscall::Args;
use fated_wait::{Pidfd, WaitRequest};

pub async fn wait4(cx: Cx, a: Args) -> SysResult {
    let [pid, status_addr, options, usage_addr, ..] = a;
    let own = cx.own_group()?;
    let request = WaitRequest::wait4(pid as i32, options as u32, own)?;
    let Some(report) = wait(&cx, &request).await? else { return Ok(0.into()) };
    // The child has been reaped, even if the pointers turn out to be bad.
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
    let own = cx.own_group()?;
    let pidfd = |fd| {
        let (pid, nonblock) = crate::syscall::pidfd::pidfd_target(&cx, fd)?;
        Ok::<_, Errno>(Pidfd { task: Some(pid.into()), nonblock })
    };
    let request = WaitRequest::waitid(idtype as u32, id as i32, options as u32, own, pidfd);
    let result = match request {
        Ok(request) => wait(&cx, &request).await,
        Err(error) => Err(error),
    };
    if let Ok(Some(report)) = &result
        && usage_addr != 0
    {
        cx.write(usage_addr, &report.usage.to_bytes())?;
    }
    // Without a child it is zeroed, even if the call fails.
    if info_addr != 0 {
        let info = result.as_ref().ok().and_then(Option::as_ref).map(|report| report.siginfo()).unwrap_or_default();
        let mut bytes = [0; 128];
        info.store(&mut bytes);
        // Linux stores these fields one by one and leaves the gap between them as it is.
        cx.write(info_addr, &bytes[..12])?;
        cx.write(info_addr.wrapping_add(16), &bytes[16..28])?;
    }
    result.map(|_| 0.into())
}
