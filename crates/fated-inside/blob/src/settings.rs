//! What doesn't change while a host runs: options of the run, and the processor that guests see.
//!
//! Invariant: the first process sets these before the first guest exists; only `plan` is taken once.

use core::cell::{Cell, RefCell};

use fated_engine::cpuid::Cpuid;

use crate::arena::{self, Part, part};
use crate::protocol::plan::Plan;

/// The options of a run.
pub struct Settings {
    /// Whether call sites are rewritten.
    pub rewrite: Cell<bool>,
    /// Whether `cpuid` faults.
    pub cpuid_faulting: Cell<bool>,
    /// What `cpuid` answers.
    pub cpuid: Cpuid,
    /// The run that the supervisor asks for, until the first guest takes it.
    pub plan: RefCell<Option<Plan>>,
}

// SAFETY: the place is its own.
unsafe impl Part for Settings {
    const AT: u64 = arena::at::SETTINGS;
}

impl Settings {
    /// The settings of a host whose guests see `cpus` processors.
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
