//! The protocol of supervisor and blob. These files are compiled into both.
//!
//! [`layout`] has the addresses in a guest, [`control`] the words that both sides write to, and the rest the encoding
//! of values in the buffer ([`bytes`]).
//!
//! Invariant: only one side writes to the buffer at a time. The guest that runs makes a request, the supervisor
//! answers it.

pub mod bytes;
pub mod control;
pub mod end;
pub mod layout;
pub mod plan;
pub mod record;
pub mod stat;
