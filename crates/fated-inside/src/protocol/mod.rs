//! What the supervisor and the blob agree on. These files are compiled into both.
//!
//! [`layout`] says where things stand in a guest, [`control`] is the memory that both sides write to, and the rest is how
//! values stand in its buffer as bytes ([`bytes`]).
//!
//! Invariant: only one side writes at a time. The guest whose turn it is makes a request, the supervisor answers it.

pub mod bytes;
pub mod control;
pub mod end;
pub mod layout;
pub mod plan;
pub mod record;
pub mod stat;
