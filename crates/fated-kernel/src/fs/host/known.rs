//! What the kernel knows of real files, as state. What it does with that is in [`super`].

use crate::config::Config;
use crate::fs::dcache::Dcache;
use crate::fs::host::inodes::Inodes;
use crate::fs::host::text_busy::Uses;
use crate::fs::host::time_line::TimeLine;
use crate::fs::mount::FileSystem;
use crate::ipc::pipe::Pipe;
use alloc::{collections::BTreeMap, rc::Weak, vec::Vec};
use core::cell::{Cell, OnceCell, RefCell};

/// What the kernel knows of real files.
#[derive(Debug)]
pub struct HostFs {
    pub(super) epoch_ns: i64,
    pub(super) real_start_ns: i64,
    /// Numbers and times of the real files that the run has met.
    pub(super) inodes: RefCell<Inodes>,
    pub(super) time_line: RefCell<TimeLine>,
    /// The real devices in the order of first sight.
    pub(super) devices: RefCell<Vec<u64>>,
    /// The real devices at the roots of generated file systems, once asked for.
    pub(super) covered: OnceCell<Vec<(FileSystem, u64)>>,
    /// Its names that are known.
    pub dcache: Dcache,
    /// How many changes the run has made to files.
    pub(super) changes: Cell<u64>,
    /// Programs that run.
    pub running: Uses,
    /// Files that are open for writing.
    pub written: Uses,
    /// The pipes behind named pipes, while someone has them open.
    pub(super) fifos: RefCell<BTreeMap<u64, Weak<Pipe>>>,
}

impl HostFs {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(config: &Config) -> HostFs {
        HostFs {
            epoch_ns: i64::try_from(config.epoch_ns).unwrap_or(i64::MAX),
            real_start_ns: config.real_start_ns,
            inodes: RefCell::default(),
            time_line: RefCell::default(),
            devices: RefCell::default(),
            covered: OnceCell::new(),
            dcache: Dcache::default(),
            changes: Cell::default(),
            running: Uses::default(),
            written: Uses::default(),
            fifos: RefCell::default(),
        }
    }
}
