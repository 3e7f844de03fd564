//! The interface between the engine and the kernel that it serves.

use fated_kernel::host::{Boot, Kernel, Next};
use fated_kernel::id::Tid;
use fated_kernel::ports::{RealTask, Stop};
use std::rc::Rc;

/// The simulated kernel, or its substitute in tests of the engine.
pub trait Driver {
    /// See [`Kernel::boot`].
    fn boot(&self, boot: &Boot, guest: Rc<dyn RealTask>) -> Tid;
    /// See [`Kernel::run_until`].
    fn run_until(&self, horizon: Option<u64>) -> Next;
    /// See [`Kernel::stopped`].
    fn stopped(&self, tid: Tid, stop: Stop);
    /// See [`Kernel::interrupt`].
    fn interrupt(&self, signal: i32);
    /// See [`Kernel::timestamp_counter`].
    fn timestamp_counter(&self) -> u64;
    /// See [`Kernel::instruction_random`].
    fn instruction_random(&self) -> u64 {
        0
    }
    /// See [`Kernel::stops_at_horizon`].
    fn stops_at_horizon(&self) -> bool {
        false
    }
    /// See [`Kernel::auxv_random`].
    fn auxv_random(&self) -> [u8; 16];
    /// See [`Kernel::since_epoch`].
    fn since_epoch(&self) -> Option<u64> {
        None
    }
}

impl Driver for Rc<Kernel> {
    fn boot(&self, boot: &Boot, guest: Rc<dyn RealTask>) -> Tid {
        Kernel::boot(self, boot, guest)
    }
    fn run_until(&self, horizon: Option<u64>) -> Next {
        Kernel::run_until(self, horizon)
    }
    fn stopped(&self, tid: Tid, stop: Stop) {
        Kernel::stopped(self, tid, stop);
    }
    fn interrupt(&self, signal: i32) {
        Kernel::interrupt(self, signal);
    }
    fn timestamp_counter(&self) -> u64 {
        Kernel::timestamp_counter(self)
    }
    fn instruction_random(&self) -> u64 {
        Kernel::instruction_random(self)
    }
    fn stops_at_horizon(&self) -> bool {
        Kernel::stops_at_horizon(self)
    }
    fn auxv_random(&self) -> [u8; 16] {
        Kernel::auxv_random(self)
    }
    fn since_epoch(&self) -> Option<u64> {
        Some(Kernel::since_epoch(self))
    }
}
