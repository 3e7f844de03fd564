//! Who may do what with files that the kernel answers for. Linux itself decides that of real files.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::inode::FileStat;

/// Whether the caller may do what `mode` (`R_OK`, `W_OK`, `X_OK`) says with a file that the kernel answers for.
pub fn permitted(cx: &Cx, stat: &FileStat, mode: u32) -> Result<(), Errno> {
    const X_OK: u32 = 1;
    let credentials = cx.process().credentials.borrow();
    let (uid, gid) = (credentials.uid[1], credentials.gid[1]);
    let granted = if uid == 0 {
        6 | if stat.mode & 0o111 != 0 { X_OK } else { 0 }
    } else if uid == stat.uid {
        stat.mode >> 6 & 7
    } else if gid == stat.gid || credentials.groups.contains(&stat.gid) {
        stat.mode >> 3 & 7
    } else {
        stat.mode & 7
    };
    if mode & !granted == 0 { Ok(()) } else { Err(Errno::EACCES) }
}

/// Whether a file can't be written to because it is a program that runs. Without the right to write that isn't the reason.
pub fn is_busy(cx: &Cx, real: &FileStat) -> bool {
    cx.kernel.fs.running.has(real) && permitted(cx, real, 2).is_ok()
}
