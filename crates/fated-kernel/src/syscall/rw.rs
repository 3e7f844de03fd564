//! read(2), write(2), lseek(2) and their kin.

use crate::cx::Cx;
use crate::fs::read_write;
use crate::fs::read_write::UserBuffer;
use crate::outcome::{Step, SysResult};
use crate::syscall::Args;

pub fn read(cx: &Cx, a: Args) -> Step {
    read_write::read(cx, a[0], UserBuffer::One(a[1], a[2]), false)
}

pub fn readv(cx: &Cx, a: Args) -> Step {
    read_write::read(cx, a[0], UserBuffer::Many(a[1], a[2]), false)
}

pub fn write(cx: &Cx, a: Args) -> Step {
    read_write::write(cx, a[0], UserBuffer::One(a[1], a[2]), false)
}

pub fn writev(cx: &Cx, a: Args) -> Step {
    read_write::write(cx, a[0], UserBuffer::Many(a[1], a[2]), false)
}

pub fn pread64(cx: &Cx, a: Args) -> Step {
    read_write::read_at(cx, a[0], UserBuffer::One(a[1], a[2]), a[3])
}

pub fn preadv(cx: &Cx, a: Args) -> Step {
    read_write::read_at(cx, a[0], UserBuffer::Many(a[1], a[2]), a[3])
}

pub fn pwrite64(cx: &Cx, a: Args) -> Step {
    read_write::write_at(cx, a[0], UserBuffer::One(a[1], a[2]), a[3])
}

pub fn pwritev(cx: &Cx, a: Args) -> Step {
    read_write::write_at(cx, a[0], UserBuffer::Many(a[1], a[2]), a[3])
}

/// Instead of an offset: where the file stands.
const CURRENT: u64 = u64::MAX;

pub fn preadv2(cx: &Cx, a: Args) -> Step {
    let buffer = UserBuffer::Many(a[1], a[2]);
    match read_write::check_flags(cx, a[0], a[5]) {
        Err(error) => read_write::refuse(cx, a[0], buffer, Some(a[3]).filter(|&at| at != CURRENT), error),
        Ok(nowait) if a[3] == CURRENT => read_write::read(cx, a[0], buffer, nowait),
        Ok(_) => read_write::read_at(cx, a[0], buffer, a[3]),
    }
}

pub fn pwritev2(cx: &Cx, a: Args) -> Step {
    let buffer = UserBuffer::Many(a[1], a[2]);
    match read_write::check_flags(cx, a[0], a[5]) {
        Err(error) => read_write::refuse(cx, a[0], buffer, Some(a[3]).filter(|&at| at != CURRENT), error),
        Ok(nowait) if a[3] == CURRENT => read_write::write(cx, a[0], buffer, nowait),
        Ok(_) => read_write::write_at(cx, a[0], buffer, a[3]),
    }
}

pub fn lseek(cx: &Cx, a: Args) -> SysResult {
    read_write::seek(cx, a[0], a[1] as i64, a[2] as u32)
}
