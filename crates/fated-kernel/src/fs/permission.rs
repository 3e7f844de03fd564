//! Who may do what with files that the kernel answers for. Linux itself decides that of real files.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::inode::FileStat;
use crate::process::credentials::Act;

/// Whether the caller may do what `mode` (`R_OK`, `W_OK`, `X_OK`) says with a file that the kernel answers for.
pub fn permitted(cx: &Cx, stat: &FileStat, mode: u32) -> Result<(), Errno> {
    if cx.process().credentials.borrow().may(Act::Access(stat, mode)) { Ok(()) } else { Err(Errno::EACCES) }
}

/// Whether a file can't be written to because it is a program that runs (`ETXTBSY`). Without the right to write that isn't the reason.
pub fn is_busy(cx: &Cx, real: &FileStat) -> bool {
    cx.kernel.fs.running.has(real) && permitted(cx, real, 2).is_ok()
}
