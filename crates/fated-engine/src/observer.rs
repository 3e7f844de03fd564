//! Where the log of calls and lines for the user go.

use fated_kernel::ports::Trace;
use fated_kernel::record::Record;
use std::fmt;

/// A trace made of two functions.
pub struct Observer {
    /// Takes each entry of the log (with [`fated_kernel::config::Config::log`]).
    pub record: Box<dyn Fn(&Record)>,
    /// Takes each line for the user.
    pub notice: Box<dyn Fn(&str)>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

impl Default for Observer {
    /// Ignores everything.
    fn default() -> Observer {
        Observer { record: Box::new(|_| {}), notice: Box::new(|_| {}) }
    }
}

impl Trace for Observer {
    fn record(&self, record: &Record) {
        (self.record)(record);
    }

    fn notice(&self, line: String) {
        (self.notice)(&line);
    }
}
