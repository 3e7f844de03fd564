//! sendfile(2), splice(2), tee(2), vmsplice(2), copy_file_range(2).

use crate::cx::Cx;
use crate::fs::splice;
use crate::outcome::SysResult;
use crate::syscall::Args;

pub async fn sendfile(cx: Cx, a: Args) -> SysResult {
    splice::sendfile(cx, a[0], a[1], a[2], a[3]).await
}

pub async fn splice(cx: Cx, a: Args) -> SysResult {
    splice::splice(cx, (a[0], a[1]), (a[2], a[3]), a[4], a[5] as u32).await
}

pub async fn tee(cx: Cx, a: Args) -> SysResult {
    splice::tee(cx, a[0], a[1], a[2], a[3] as u32).await
}

pub fn vmsplice(cx: &Cx, a: Args) -> SysResult {
    splice::vmsplice(cx, a[0], (a[1], a[2]), a[3] as u32)
}

pub fn copy_file_range(cx: &Cx, a: Args) -> SysResult {
    splice::copy_file_range(cx, a)
}
