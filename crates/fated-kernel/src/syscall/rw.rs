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

/// The place in a file that preadv2(2) and pwritev2(2) name: -1 stands for where the file stands.
fn place(a: Args) -> Option<u64> {
    Some(a[3]).filter(|&at| at != u64::MAX)
}

pub fn preadv2(cx: &Cx, a: Args) -> Step {
    let buffer = UserBuffer::Many(a[1], a[2]);
    match (read_write::check_flags(cx, a[0], a[5]), place(a)) {
        (Err(error), at) => read_write::refuse(cx, a[0], buffer, at, error),
        (Ok(nowait), None) => read_write::read(cx, a[0], buffer, nowait),
        (Ok(_), Some(at)) => read_write::read_at(cx, a[0], buffer, at),
    }
}

pub fn pwritev2(cx: &Cx, a: Args) -> Step {
    let buffer = UserBuffer::Many(a[1], a[2]);
    match (read_write::check_flags(cx, a[0], a[5]), place(a)) {
        (Err(error), at) => read_write::refuse(cx, a[0], buffer, at, error),
        (Ok(nowait), None) => read_write::write(cx, a[0], buffer, nowait),
        (Ok(_), Some(at)) => read_write::write_at(cx, a[0], buffer, at),
    }
}

pub fn lseek(cx: &Cx, a: Args) -> SysResult {
    read_write::seek(cx, a[0], a[1] as i64, a[2] as u32)
}
