//! Whose turn it is, and when a call that the real Linux carries out happens.

use crate::world::{World, first};
use fated_kernel::arch::Call;
use fated_kernel::host::Next;
use fated_kernel::ports::Stop;
use linux_raw_sys::general as nr;

/// A descriptor that the kernel doesn't know: calls on it pass.
const FILE: u64 = 99;

fn pass() -> Stop {
    Stop::Call(Call { number: nr::__NR_lseek.into(), args: [FILE, 0, 0, 0, 0, 0] })
}

#[test]
fn turns_end_with_calls_that_pass_too() {
    let world = World::new();
    let child = world.fork(first());
    let mut turns = Vec::new();
    for _ in 0..6 {
        let Next::Run(tid) = world.kernel.run_until(None) else { panic!("both can run") };
        turns.push(tid);
        world.kernel.stopped(tid, pass());
    }
    // A turn is one call long here.
    assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "{turns:?}");
    assert!(turns.contains(&child));
}

#[test]
fn a_call_passes_only_if_its_task_runs_straight_on() {
    let world = World::new();
    // Alone, it is never somebody else's turn.
    for _ in 0..3 {
        assert_eq!(world.kernel.run_until(None), Next::Run(first()));
        world.kernel.stopped(first(), pass());
        assert!(world.passes(first()));
    }
    assert_eq!(world.kernel.run_until(None), Next::Run(first()));
    // With another one waiting, the turn is over, and the call is made before.
    let child = world.fork(first());
    let Next::Run(tid) = world.kernel.run_until(None) else { panic!("both can run") };
    world.kernel.stopped(tid, pass());
    assert!(!world.passes(tid));
    let other = if tid == child { first() } else { child };
    assert_eq!(world.kernel.run_until(None), Next::Run(other));
}
