//! Open files in messages (`SCM_RIGHTS`).

use crate::errno::Errno;
use crate::fs::file::OpenFile;
use crate::net::unix::in_flight::{Counted, InFlight};
use alloc::rc::Rc;

/// An open file in flight.
#[derive(Debug)]
pub struct Right {
    /// The file.
    pub open: Rc<OpenFile>,
    _counted: Counted,
}

impl Right {
    /// Sends a file on its way; `ETOOMANYREFS` if too many are in flight.
    pub fn new(in_flight: &InFlight, open: Rc<OpenFile>) -> Result<Right, Errno> {
        Ok(Right { open, _counted: in_flight.count()? })
    }
}
