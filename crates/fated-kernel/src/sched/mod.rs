//! The scheduler: which task runs next (`run_queue`, `pct`, `entity`), how tasks sleep and wake (`sleep`, `wait_queue`), what tasks
//! ask for about their scheduling (`attributes`), and who makes all random decisions (`choose`, `rng`).

pub mod attributes;
pub mod choice;
pub mod choose;
pub mod entity;
mod pct;
pub mod rng;
pub mod run_queue;
mod sleep;
mod state;
pub mod wait_queue;

pub(crate) use state::Rest;
pub use state::Woken;
