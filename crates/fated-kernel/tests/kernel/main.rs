//! The kernel as a plain library, without any real process.

mod hosts;
mod journal;
mod paths;
mod stories;
mod streams;
mod tasks;
mod tree;
mod turns;
mod world;
