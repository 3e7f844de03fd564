//! Uses the kernel and the wait subsystem in a program that has neither libc nor std under it, and prints what came out.
//! That it links is the proof; the output shows that it runs.

#![no_std]
#![no_main]

mod runtime;

use core::fmt::{self, Write};

use fated_kernel::table;
use fated_wait as _;
use runtime::Stdout;

fn main() -> fmt::Result {
    let counts = table::COUNTS;
    writeln!(
        Stdout,
        "freestanding: {} system calls: {} modelled, {} partial, {} native, {} refused",
        table::all().len(),
        counts.modelled,
        counts.partial,
        counts.native,
        counts.refused
    )
}
