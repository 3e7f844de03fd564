//! What processes do about signals.

use crate::signal::set::SigSet;

/// What a process does when it takes a signal: `struct kernel_sigaction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// 0 for the default (`SIG_DFL`), 1 to ignore (`SIG_IGN`), else the handler's address.
    pub handler: u64,
    /// `SA_*`.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Blocked while it runs.
    pub mask: SigSet,
}

/// Don't send `SIGCHLD` for stopped children.
pub const SA_NOCLDSTOP: u64 = 1;
/// Children don't become zombies.
pub const SA_NOCLDWAIT: u64 = 2;
/// The handler takes three arguments.
pub const SA_SIGINFO: u64 = 4;
/// Run on the alternate stack.
pub const SA_ONSTACK: u64 = 0x0800_0000;
/// Restart interrupted calls.
pub const SA_RESTART: u64 = 0x1000_0000;
/// Don't block the signal itself.
pub const SA_NODEFER: u64 = 0x4000_0000;
/// Back to the default at the first delivery.
pub const SA_RESETHAND: u64 = 0x8000_0000;

/// What the default action of a signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing.
    Ignore,
    /// The process dies.
    Terminate,
    /// The process dies and would leave a core.
    Core,
    /// The process stops.
    Stop,
}

/// The default action of `signal`.
#[must_use]
pub fn default_action(signal: i32) -> Disposition {
    if SigSet::IGNORED.has(signal) {
        Disposition::Ignore
    } else if SigSet::STOPS.has(signal) {
        Disposition::Stop
    } else if SigSet::CORE.has(signal) {
        Disposition::Core
    } else {
        Disposition::Terminate
    }
}

/// The actions of a process, one for each signal.
#[derive(Clone, Debug)]
pub struct Actions([Action; 64]);

impl Default for Actions {
    fn default() -> Self {
        Actions([Action::default(); 64])
    }
}

impl Actions {
    /// The action for `signal` (1 to 64).
    #[must_use]
    pub fn get(&self, signal: i32) -> Action {
        self.0.get((signal - 1) as usize).copied().unwrap_or_default()
    }

    /// Sets the action for `signal` and returns the one before.
    pub fn set(&mut self, signal: i32, action: Action) -> Action {
        match self.0.get_mut((signal - 1) as usize) {
            Some(slot) => core::mem::replace(slot, action),
            None => Action::default(),
        }
    }

    /// Whether `signal` is dropped when it is sent.
    #[must_use]
    pub fn ignores(&self, signal: i32) -> bool {
        let action = self.get(signal);
        action.handler == 1 || (action.handler == 0 && default_action(signal) == Disposition::Ignore)
    }

    /// What exec does: handlers are reset to the default, ignored signals stay ignored.
    pub fn reset_handlers(&mut self) {
        for action in &mut self.0 {
            let handler = if action.handler == 1 { 1 } else { 0 };
            *action = Action { handler, ..Action::default() };
        }
    }
}
