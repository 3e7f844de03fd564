//! A simulated Linux kernel as a value: tasks, signals, time, descriptors. Time, entropy and the real world come in through
//! [`guest::Guest`] and [`guest::Outside`], which an engine implements; the kernel does no I/O of its own.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod config;
pub mod errno;
pub mod guest;
pub mod id;
pub mod kernel;
pub mod record;
pub mod table;
