//! Ids of tasks and processes. They are fated-wait's own: the wait subsystem keeps all relations between them.

pub use fated_wait::{Pgid, Pid, Sid, Tid};
