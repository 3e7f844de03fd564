//! What does not change while a host runs: what the supervisor has asked for, and what guests are shown of the processor.

use core::cell::{Cell, RefCell};

use fated_engine::cpuid::Cpuid;

use crate::arena::{self, Part, part};
use crate::protocol::plan::Plan;

/// What a run begins with.
pub struct Settings {
    /// Call sites are rewritten.
    pub rewrite: Cell<bool>,
    /// `cpuid` is made to fault.
    pub cpuid_faulting: Cell<bool>,
    /// What `cpuid` answers.
    pub cpuid: Cpuid,
    /// What the supervisor wants to be run, until it is.
    pub plan: RefCell<Option<Plan>>,
}

// SAFETY: the place is its own.
unsafe impl Part for Settings {
    const AT: u64 = arena::at::SETTINGS;
}

impl Settings {
    /// Those of a host whose guests see so many processors.
    pub fn new(cpus: u32) -> Settings {
        Settings {
            rewrite: Cell::new(true),
            cpuid_faulting: Cell::new(true),
            cpuid: Cpuid::new(cpus),
            plan: RefCell::new(None),
        }
    }
}

pub fn settings() -> &'static Settings {
    part()
}
