//! The kernel as a plain library, without any real process.

mod streams;
mod tasks;
mod turns;
mod world;
