//! The kernel, and the task that it has let run.

use alloc::rc::Rc;
use core::cell::{Cell, OnceCell};

use fated_kernel::cx::Cx;
use fated_kernel::host::Kernel;
use fated_kernel::id::Tid;

use crate::arena::{self, Part, part};
use crate::enter::frame::Event;
use crate::process::task::Inside;

/// Whom the kernel has let run.
#[derive(Default)]
pub struct Turn {
    /// The task that has run last.
    pub task: Cell<Option<(&'static Inside, Tid)>>,
    /// That task as the kernel sees it, while it has the turn.
    pub cx: Cell<Option<&'static Cx>>,
    /// The kernel, once there is one.
    pub kernel: OnceCell<Rc<Kernel>>,
    /// What the task has stopped for.
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
