//! What a child costs in memory: `cargo bench -p fated-wait --bench memory`.

use fated_wait::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USED.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A power of two, so that vectors have grown to what they hold.
const CHILDREN: u32 = 1 << 20;

fn tid(id: u32) -> Tid {
    Tid::new(id).expect("an id")
}

fn main() {
    for kind in [LookupKind::Index, LookupKind::Scan] {
        for (what, own_group, dead) in
            [("alive", false, false), ("alive, each in its own group", true, false), ("dead", false, true)]
        {
            let before = USED.load(Relaxed);
            let (mut family, mut fx) = (Family::new(kind), Effects::new());
            family.init(tid(1)).expect("the first");
            for child in 2..1 + CHILDREN {
                family.fork(tid(1), tid(child), ForkFlags::default(), Some(Signal::SIGCHLD), &mut fx).expect("free");
                if own_group {
                    family.setpgid(tid(child), None, None, &mut fx).expect("may");
                }
                if dead {
                    let code = ExitCode::exited(0);
                    family.exit_thread(tid(child), code, Usage::default(), &mut fx).expect("alive");
                }
                fx.clear();
            }
            drop(fx);
            let used = USED.load(Relaxed) - before;
            println!("{kind:?}: {:4} bytes for a child, {what}", used / CHILDREN as usize);
        }
    }
}
