//! The kernel, and the task that it runs.
//!
//! Invariant: the task's process is the one that runs, whenever guest code does.

use alloc::rc::Rc;
use core::cell::{Cell, OnceCell};

use fated_kernel::cx::Cx;
use fated_kernel::host::Kernel;
use fated_kernel::id::Tid;

use crate::arena::{self, Part, part};
use crate::enter::frame::Event;
use crate::process::task::GuestTask;

/// The kernel and its present choice.
#[derive(Default)]
pub struct Turn {
    /// The task that ran last.
    pub task: Cell<Option<(&'static GuestTask, Tid)>>,
    /// That task in the kernel, during its turn.
    pub cx: Cell<Option<&'static Cx>>,
    /// The kernel, once there is one.
    pub kernel: OnceCell<Rc<Kernel>>,
    /// Why the task has stopped.
    pub event: Cell<Event>,
}

// SAFETY: the place is its own.
unsafe impl Part for Turn {
    const AT: u64 = arena::at::TURN;
}

#[inline]
pub fn turn() -> &'static Turn {
    part()
}
