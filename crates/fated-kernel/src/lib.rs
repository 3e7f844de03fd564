//! A simulated Linux kernel as a value: tasks, signals, time, descriptors. Time, entropy and the real world come in through
//! [`ports`], which an engine and the world around a host implement; the kernel does no I/O of its own.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod arch;
pub mod config;
pub mod cx;
pub mod errno;
pub mod fs;
pub mod host;
pub mod id;
pub mod ipc;
pub mod journal;
pub mod machine;
pub mod mm;
pub mod net;
pub mod outcome;
pub mod ports;
pub mod process;
pub mod record;
pub mod run;
pub mod sched;
pub mod signal;
pub mod stats;
pub mod syscall;
pub mod time;
pub mod tty;
