//! Creates a host: puts each module's part of the engine's state into the arena, which all its processes share.
//!
//! The kernel runs on one stack, which lies in the arena, too. So the kernel can continue in another process at any
//! point ([`Process::enter`](crate::process::Process::enter)). An access to a guest's memory is therefore a plain
//! copy within that guest, and exec and fork return into the same stack.
//!
//! Invariants: of all processes of a host only [`process::current`](crate::process::current) runs. Parts don't
//! overlap, which the build checks.

use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::SeqCst;

use crate::arena::{HOST, Part, control};
use crate::enter::clock::Readings;
use crate::enter::cpuid::Answers;
use crate::enter::crossing::Crossing;
use crate::enter::frame::Template;
use crate::enter::turn::Turn;
use crate::exec::load::Auxv;
use crate::exec::vdso;
use crate::memory::heap::Heap;
use crate::memory::huge::Huge;
use crate::memory::marks;
use crate::process::Processes;
use crate::protocol::layout::{ARENA, ARENA_SIZE, BLOCK_SIZE, HEAP_AT, HOST_AT};
use crate::rewrite::prepared::Prepared;
use crate::rewrite::sensitive::Known;
use crate::settings::Settings;
use crate::supervisor::Outbox;

const fn range<P: Part>() -> [u64; 2] {
    assert!(P::AT.is_multiple_of(align_of::<P>() as u64), "a part stands at a place that it can't stand at");
    [P::AT, P::AT + size_of::<P>() as u64]
}

/// The range of each part, in the order of their offsets.
const RANGES: [[u64; 2]; 14] = [
    range::<Crossing>(),
    range::<Readings>(),
    range::<Turn>(),
    range::<Processes>(),
    range::<Outbox>(),
    range::<Template>(),
    range::<Known>(),
    range::<Auxv>(),
    range::<vdso::State>(),
    range::<Huge>(),
    range::<UnsafeCell<Heap>>(),
    range::<Settings>(),
    range::<Prepared>(),
    range::<Answers>(),
];

const _: () = {
    let mut index = 1;
    while index < RANGES.len() {
        assert!(RANGES[index - 1][1] <= RANGES[index][0], "a part has outgrown its place (`arena::at`)");
        index += 1;
    }
    assert!(RANGES[RANGES.len() - 1][1] < (HEAP_AT - HOST_AT) / 2, "the parts reach the mark in the middle");
};

/// Puts a part into its place.
///
/// # Safety
/// The arena is mapped, and nobody uses the part yet.
unsafe fn put<P: Part>(value: P) {
    // SAFETY: the caller's promise; `RANGES` checks that there is room.
    unsafe { ((HOST + P::AT) as *mut P).write(value) };
}

/// Creates the host. `cpus` is how many processors guests see.
pub fn create(cpus: u32) {
    marks::set();
    let heap = Heap::new([HEAP_AT, BLOCK_SIZE, ARENA_SIZE].map(|at| (ARENA + at) as usize));
    // SAFETY: the arena is mapped, and nobody uses it yet. The heap comes before what may allocate.
    unsafe {
        put(UnsafeCell::new(heap));
        put(Crossing::default());
        put(Readings::default());
        put(Turn::default());
        put(Processes::default());
        put(Outbox::default());
        put(Template::default());
        put(Known::default());
        put(Auxv::default());
        put(vdso::State::default());
        put(Huge::default());
        let settings = Settings::new(cpus);
        put(Answers::new(&settings.cpuid));
        put(settings);
        put(Prepared::default());
    }
    control().op.store(u32::MAX, SeqCst);
}
