//! What is kept of processes that have ended and have not been reaped: their names. All else is fated-wait's.

use crate::id::Pid;
use alloc::collections::BTreeMap;
use core::cell::RefCell;
use fated_wait::{Family, TaskState};

/// The names of processes that have ended. Those of reaped ones are dropped in time.
#[derive(Debug, Default)]
pub struct Zombies(RefCell<BTreeMap<Pid, [u8; 16]>>);

impl Zombies {
    /// A process has ended.
    pub fn enter(&self, family: &Family, pid: Pid, name: [u8; 16]) {
        /// So many names of reaped processes may be left.
        const KEPT: usize = 1024;
        let mut names = self.0.borrow_mut();
        if names.len() >= KEPT {
            names.retain(|&pid, _| family.state(pid.into()) == Some(TaskState::Zombie));
        }
        names.insert(pid, name);
    }

    /// The name that it had (`PR_SET_NAME`).
    #[must_use]
    pub fn name(&self, pid: Pid) -> Option<[u8; 16]> {
        self.0.borrow().get(&pid).copied()
    }
}
