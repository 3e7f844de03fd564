//! Tasks that wait for standard streams, and the moments at which input comes in.

use crate::cx::Cx;
use crate::fs::poll;
use crate::host::Kernel;
use crate::ports::Awaited;
use crate::tty::input::Look;
use alloc::{rc::Rc, vec::Vec};

/// A task's wait for streams; dropping it ends the wait.
#[derive(Debug)]
pub struct Awaiting {
    kernel: Rc<Kernel>,
    numbers: Vec<u64>,
}

impl Kernel {
    /// Lets in what there is; `true` if that has woken a task.
    pub(crate) fn let_input_in(&self) -> bool {
        self.journal.set_moment(self.since_epoch());
        self.streams.check(&*self.console, Look::Input)
    }

    /// Nothing else can happen, or hasn't for long: also lets in the end of input that comes in blocks, for those who wait for the end alone.
    pub(crate) fn let_end_in(&self) -> bool {
        self.journal.set_moment(self.since_epoch());
        self.streams.check(&*self.console, Look::End)
    }

    /// Somebody has asked for input without waiting for it.
    pub(crate) fn ask_for_input(&self, streams: &[Awaited]) {
        for awaited in streams.iter().filter(|it| it.bits & poll::IN != 0) {
            self.streams.ask(awaited.stream);
            self.watch();
        }
    }

    /// Counts a turn while a task waits for input, so that none waits without end.
    #[inline]
    pub(crate) fn count_turn(&self) {
        if self.streams.are_awaited() {
            self.count_awaited_turn();
        }
    }

    #[cold]
    fn count_awaited_turn(&self) {
        if self.streams.count_turn() && !self.streams.become_due() {
            self.let_end_in();
        }
    }
}

impl Cx {
    /// The task is about to wait for these streams, until the result is dropped.
    #[must_use]
    pub fn await_streams(&self, streams: impl Iterator<Item = Awaited>) -> Option<Awaiting> {
        let numbers: Vec<_> = streams.map(|wanted| self.kernel.streams.begin_wait(wanted)).collect();
        (!numbers.is_empty()).then(|| Awaiting { kernel: self.kernel.clone(), numbers })
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        for &number in &self.numbers {
            self.kernel.streams.end_wait(number);
        }
    }
}
