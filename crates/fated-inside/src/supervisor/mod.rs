//! The supervisor, which is fated's own process. It starts a run, serves the blob's requests and ends the run.
//!
//! Invariant: it owns nothing of the simulated host. It writes to the shared memory only to answer, to set the
//! horizon and to ask for attention.

mod blob;
pub(crate) mod engine;
mod init;
mod requirements;
mod shared;
mod spin;
mod sys;
