//! Open files in messages (`SCM_RIGHTS`).

use crate::errno::Errno;
use crate::fs::file::OpenFile;
use alloc::rc::Rc;
use core::cell::Cell;

/// How many open files are in flight: sent and not received. Clones count the same ones.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Rc<Cell<usize>>);

/// An open file in flight.
#[derive(Debug)]
pub struct Right {
    /// The file.
    pub open: Rc<OpenFile>,
    in_flight: InFlight,
}

impl InFlight {
    /// How many there may be in the whole host, as Linux limits them for each user. A socket can be sent through a socket, and closing
    /// one that is in flight closes all that is in it, so this also bounds how deep that goes.
    const LIMIT: usize = 1000;

    /// Sends a file on its way; `ETOOMANYREFS` if too many are in flight.
    pub fn send(&self, open: Rc<OpenFile>) -> Result<Right, Errno> {
        if self.0.get() >= InFlight::LIMIT {
            return Err(Errno::ETOOMANYREFS);
        }
        self.0.set(self.0.get() + 1);
        Ok(Right { open, in_flight: self.clone() })
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        let count = &self.in_flight.0;
        count.set(count.get().saturating_sub(1));
    }
}
