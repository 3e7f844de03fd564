//! What an exec has made of a process. Its forks have it in common.

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
    /// What has been loaded.
    pub texts: RefCell<Vec<Text>>,
    /// What is known of its call sites.
    pub sites: RefCell<Sites>,
}

/// A file as long as nobody changes it: device, inode, size, times of data and of inode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity([u64; 5]);

impl Identity {
    /// Of what has this status.
    pub fn of(stat: &FileStat) -> Identity {
        Identity([stat.dev, stat.ino, stat.size, stat.mtime_ns as u64, stat.ctime_ns as u64])
    }
}

/// Text that has been loaded: an executable segment of a program or of its interpreter.
pub struct Text {
    pub begin: u64,
    pub end: u64,
    pub offset: u64,
    pub file: Identity,
}
