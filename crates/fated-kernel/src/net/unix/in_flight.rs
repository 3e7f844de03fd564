//! How many open files are in messages between sockets.

use crate::errno::Errno;
use alloc::rc::Rc;
use core::cell::Cell;

/// How many may be in flight in the whole host, as Linux limits them for each user. A socket can be sent through a socket, and closing
/// one that is in flight closes all that is in it, so this also bounds how deep that goes.
const LIMIT: usize = 1000;

/// How many are in flight: sent and not received. Clones count the same ones.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Rc<Cell<usize>>);

/// Stands for one of them, which is in flight until this is dropped.
#[derive(Debug)]
pub struct Counted(InFlight);

impl InFlight {
    /// Counts one more; `ETOOMANYREFS` if there are too many.
    pub fn count(&self) -> Result<Counted, Errno> {
        if self.0.get() >= LIMIT {
            return Err(Errno::ETOOMANYREFS);
        }
        self.0.set(self.0.get() + 1);
        Ok(Counted(self.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let count = &self.0.0;
        count.set(count.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn what_has_been_received_makes_room() {
        let in_flight = InFlight::default();
        let mut files: Vec<_> = (0..LIMIT).map(|_| in_flight.count().expect("room")).collect();
        assert_eq!(in_flight.count().expect_err("full"), Errno::ETOOMANYREFS);
        files.pop();
        assert!(in_flight.count().is_ok());
    }
}
