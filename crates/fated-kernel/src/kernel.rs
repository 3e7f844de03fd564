//! The kernel of one host, as its engine sees it.

use crate::config::Config;
use crate::guest::{Guest, Outside, Stop};
use crate::id::Tid;
use alloc::{rc::Rc, string::String, vec::Vec};

/// What the engine does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Run this task until it stops, then tell [`Kernel::stopped`].
    Run(Tid),
    /// All tasks wait and at least one waits for a standard stream: block until one of `streams` is ready, then ask again.
    AwaitOutside {
        /// The stream's number and the `POLL*` bits that are waited for.
        streams: Vec<(i32, u32)>,
    },
    /// The run is over.
    Finished(Ending),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The first process ended with this wait status, and nothing is left.
    Exited(i32),
    /// Every task waits for something that can't happen any more; one line per task says for what.
    Deadlock(Vec<String>),
    /// A guest was killed from outside, or the real side failed.
    Broken(String),
}

/// A program that was started outside the kernel and becomes its first process.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The path of the program.
    pub exe: Vec<u8>,
    /// Its working directory.
    pub cwd: Vec<u8>,
}

/// The simulated kernel of one host.
#[derive(Debug)]
pub struct Kernel {}

impl Kernel {
    /// A kernel without processes.
    #[must_use]
    pub fn new(_config: Config, _outside: Rc<dyn Outside>) -> Rc<Kernel> {
        Rc::new(Kernel {})
    }
    /// Makes the first process. Its program has been loaded and has not run yet. Descriptors 0, 1 and 2 are fated's own
    /// streams unless they are regular files or directories.
    pub fn boot(self: &Rc<Self>, _boot: &Boot, _guest: Rc<dyn Guest>) -> Tid {
        Tid::new(1).expect("1")
    }
    /// Decides what happens next.
    pub fn next(self: &Rc<Self>) -> Next {
        Next::Finished(Ending::Exited(0))
    }
    /// The task that [`Next::Run`] named has stopped.
    pub fn stopped(self: &Rc<Self>, _tid: Tid, _stop: Stop) {}
    /// A signal for the foreground process group, from the terminal or the user of fated.
    pub fn interrupt(self: &Rc<Self>, _signal: i32) {}
    /// What rdtsc reads now.
    #[must_use]
    pub fn timestamp_counter(&self) -> u64 {
        0
    }
    /// The next sixteen bytes for `AT_RANDOM`.
    #[must_use]
    pub fn auxv_random(&self) -> [u8; 16] {
        [0; 16]
    }
}
