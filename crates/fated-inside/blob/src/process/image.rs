//! The program that an exec has loaded into a process, and what the engine knows about it. Forks share it.

use alloc::vec::Vec;
use core::cell::RefCell;

use fated_kernel::fs::inode::FileStat;

use crate::rewrite::sites::Sites;

/// The image of a process.
#[derive(Default)]
pub struct Image {
    /// The path of the program.
    pub exe: Vec<u8>,
    /// `/proc/self/auxv` as the guest was given it.
    pub auxv: Vec<u8>,
    /// Its executable segments.
    pub texts: RefCell<Vec<Text>>,
    /// Its call sites.
    pub sites: RefCell<Sites>,
}

/// Identifies a version of a file: device, inode, size, times of data and of inode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity([u64; 5]);

impl Identity {
    /// From the status of a file.
    pub fn of(stat: &FileStat) -> Identity {
        Identity([stat.dev, stat.ino, stat.size, stat.mtime_ns as u64, stat.ctime_ns as u64])
    }
}

/// A loaded executable segment of a program or of its interpreter.
pub struct Text {
    pub begin: u64,
    pub end: u64,
    pub offset: u64,
    pub file: Identity,
}
