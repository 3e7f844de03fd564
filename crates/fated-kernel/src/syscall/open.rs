//! open(2), creat(2), openat(2), openat2(2).

use crate::arch::Call;
use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::host::carry_out::PathArg;
use crate::fs::open::{self, Begun, Request, open_fifo};
use crate::outcome::Step;
use crate::syscall::{later, now};
use linux_raw_sys::general::{__NR_creat, __NR_open, __NR_openat, O_CREAT, O_TRUNC, O_WRONLY};

/// All four calls.
pub fn open(cx: &Cx, call: &Call) -> Step {
    match decode(cx, call).and_then(|request| open::open(cx, request)) {
        Ok(Begun::Over(outcome)) => now(Ok(outcome)),
        Ok(Begun::Fifo(fifo)) => later(cx, open_fifo(cx.clone(), fifo)),
        Err(error) => Step::Failed(error),
    }
}

#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
fn decode<'a>(cx: &Cx, call: &'a Call) -> Result<Request<'a>, Errno> {
    let a = &call.args;
    let request = |arg, flags: u64| Request { call, arg, flags: flags as u32, resolve: 0 };
    Ok(match call.number as u32 {
        __NR_open => request(PathArg::from_cwd(0), a[1]),
        __NR_creat => request(PathArg::from_cwd(0), (O_CREAT | O_WRONLY | O_TRUNC).into()),
        __NR_openat => request(PathArg::at(0), a[2]),
        _ => {
            // struct open_how: flags, mode, resolve.
            const SIZE: u64 = 24;
            match a[3] {
                0..SIZE => return Err(Errno::EINVAL),
                4097.. => return Err(Errno::E2BIG),
                _ => {}
            }
            let [flags, _, resolve] = cx.read_words(a[2])?;
            Request { resolve: resolve as u32, ..request(PathArg::at(0), flags) }
        }
    })
}
