//! What both engines share: the program to run ([`Launch`]), the standard streams, signals for fated itself, the terminal, errors,
//! the answers to `cpuid`, and the vDSO.
//!
//! Invariants: when an engine returns, normally or with an error, no guest is left. The same program with the same seed is the same
//! run on both engines; what is here can't differ between them.
//!
//! Without the feature `std` only [`cpuid`], [`notice`] and [`vdso`] remain, for the kernel in the guest.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "std")]
mod blocks;
#[cfg(feature = "std")]
mod console;
#[cfg(feature = "std")]
mod cpu;
pub mod cpuid;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
mod fifos;
#[cfg(feature = "std")]
pub mod inherit;
#[cfg(feature = "std")]
mod launch;
#[cfg(feature = "std")]
pub mod limits;
pub mod notice;
#[cfg(feature = "std")]
mod observer;
#[cfg(feature = "std")]
pub mod processor;
#[cfg(feature = "std")]
mod progress;
pub mod sensitive;
#[cfg(feature = "std")]
pub mod signals;
#[cfg(feature = "std")]
mod stdio;
#[cfg(feature = "std")]
pub mod sys;
#[cfg(feature = "std")]
mod terminal;
pub mod vdso;

#[cfg(feature = "std")]
pub use {
    blocks::Blocks,
    console::{Captured, Standard, poll_set},
    cpu::OneCpu,
    error::{COMPUTES_AFTER, Error, computes, start},
    launch::{Descriptor, Launch, NO_CPUID_FAULTING, Stream, Streams},
    observer::Observer,
    progress::{OUTSIDER_MS, Progress},
    stdio::{Shown, Stdio},
    terminal::Terminal,
};
