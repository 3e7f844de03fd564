//! The supervisor: fated's own process. It starts a run, serves the blob's requests and ends the run.

mod blob;
pub(crate) mod engine;
mod init;
mod requirements;
mod shared;
mod spin;
mod sys;
