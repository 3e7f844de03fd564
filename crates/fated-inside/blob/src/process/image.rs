//! The program that an exec has loaded into a process, and what the engine knows about it. Forks share it.

use alloc::vec::Vec;
use core::cell::RefCell;

use fated_engine::sensitive::Texts;

use crate::rewrite::sites::Sites;

/// The image of a process.
#[derive(Default)]
pub struct Image {
    /// The path of the program.
    pub exe: Vec<u8>,
    /// `/proc/self/auxv` as the guest was given it.
    pub auxv: Vec<u8>,
    /// Where it has mapped text of files.
    pub texts: RefCell<Texts>,
    /// Its call sites.
    pub sites: RefCell<Sites>,
}
