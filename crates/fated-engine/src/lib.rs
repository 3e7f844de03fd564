//! What both engines share: what to run ([`Launch`]), the standard streams, signals for fated itself, the terminal, errors, and
//! what `cpuid` answers and what the vDSO is.
//!
//! An engine that is left (by its end, or by an error) leaves no guest. What both share can't differ between them: the same
//! program with the same seed is the same run on both.
//!
//! Without the feature `std` only [`cpuid`], [`notice`] and [`vdso`] are left, for the kernel in the guest.

#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "std")]
mod console;
#[cfg(feature = "std")]
mod cpu;
pub mod cpuid;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
mod launch;
pub mod notice;
#[cfg(feature = "std")]
mod observer;
#[cfg(feature = "std")]
pub mod processor;
#[cfg(feature = "std")]
mod progress;
#[cfg(feature = "std")]
pub mod signals;
#[cfg(feature = "std")]
pub mod sys;
#[cfg(feature = "std")]
mod terminal;
pub mod vdso;

#[cfg(feature = "std")]
pub use {
    console::{Captured, Standard},
    cpu::OneCpu,
    error::{Error, start},
    launch::{Launch, NO_CPUID_FAULTING, Streams},
    observer::Observer,
    progress::Progress,
    terminal::Terminal,
};
