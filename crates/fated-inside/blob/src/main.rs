//! The blob: the simulated kernel as a freestanding program, mapped at one address into every guest of a host.
//!
//! A guest's process is an image of this program into which the guest's own program has been loaded. Its system calls
//! trap (`enter::entry`), because Linux accepts them from one page only (`enter::filter`, `enter::gate`). The kernel
//! answers them in the guest's own process, on a stack and with state that all guests of the host share (`arena`).

#![no_std]
#![no_main]

extern crate alloc;

mod arena;
mod enter;
mod exec;
mod host;
mod init;
mod memory;
mod process;
#[path = "../../src/protocol/mod.rs"]
#[expect(dead_code, reason = "the supervisor writes what is read here, and the other way round")]
mod protocol;
mod rewrite;
mod settings;
mod supervisor;
mod sys;

use exec::new_image;
use linux_raw_sys::general::{MAP_FIXED_NOREPLACE, MAP_SHARED, PROT_READ, PROT_WRITE};
use process::descriptors;
use protocol::layout;

/// The entry of every image, on the stack that Linux made.
#[unsafe(no_mangle)]
extern "C" fn start(sp: *const u64) -> ! {
    let (prot, flags) = (PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE);
    // SAFETY: Linux has put the number of arguments there.
    let [.., arena] = descriptors::of_image(unsafe { *sp });
    if sys::mmap(layout::ARENA, layout::ARENA_SIZE, prot, flags, arena, 0) != Ok(layout::ARENA) {
        // There is no way to report this, but the supervisor sees the status.
        sys::exit_group(1);
    }
    if arena::exists() { new_image::begin(sp) } else { init::run() }
}

#[panic_handler]
fn panic(why: &core::panic::PanicInfo<'_>) -> ! {
    supervisor::fail(format_args!("{why}"))
}

/// The precompiled libraries refer to the unwinder. Nothing unwinds here: a panic ends the run.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    sys::exit_group(1)
}

/// See [`_Unwind_Resume`].
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
