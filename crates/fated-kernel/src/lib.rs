//! A simulated Linux kernel as a value: tasks, signals, time, descriptors. Time, entropy and the real world come in through
//! [`guest::Guest`] and [`guest::Outside`], which an engine implements; the kernel does no I/O of its own.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod config;
pub mod cx;
pub mod errno;
pub mod family;
pub mod file;
pub mod fs;
pub mod futex;
pub mod guest;
pub mod id;
pub mod kernel;
pub mod log;
pub mod queue;
pub mod record;
pub mod rng;
pub mod sched;
pub mod signal;
pub mod stats;
pub mod sys;
pub mod table;
pub mod task;
pub mod timers;
pub mod user;
