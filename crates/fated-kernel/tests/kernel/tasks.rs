//! The kernel as a plain library: processes, signals, waits and pipes without any real process.

use crate::world::{BASE, World, first};
use fated_kernel::errno::Errno;
use fated_kernel::host::Ending;
use fated_kernel::id::Tid;
use linux_raw_sys::general as nr;

fn error(errno: Errno) -> i64 {
    -i64::from(errno.number())
}

fn tid(number: u32) -> Tid {
    Tid::new(number).unwrap()
}

#[test]
fn the_first_process_is_a_child_of_process_1() {
    let world = World::new();
    assert_eq!(world.result(first(), nr::__NR_getpid, &[]), 2);
    assert_eq!(world.result(first(), nr::__NR_getppid, &[]), 1);
    assert_eq!(world.result(first(), nr::__NR_getsid, &[0]), 2);
}

#[test]
fn a_wait_sleeps_until_the_child_exits() {
    let world = World::new();
    let child = world.fork(first());
    assert_eq!(child, tid(3));
    world.call(first(), nr::__NR_wait4, &[3, BASE, 0, 0]);
    world.call(child, nr::__NR_exit_group, &[7]);
    assert_eq!(world.returned(first()), 3);
    assert_eq!(i32::from_le_bytes(world.read(first(), BASE)), 7 << 8);
    assert_eq!(world.result(first(), nr::__NR_wait4, &[3, 0, 0, 0]), error(Errno::ECHILD));
}

#[test]
fn a_bad_status_pointer_does_not_save_the_child() {
    let world = World::new();
    let child = world.fork(first());
    world.call(child, nr::__NR_exit_group, &[0]);
    assert_eq!(world.result(first(), nr::__NR_wait4, &[3, 8, 0, 0]), error(Errno::EFAULT));
    assert_eq!(world.result(first(), nr::__NR_wait4, &[3, 0, 0, 0]), error(Errno::ECHILD));
}

#[test]
fn a_signal_kills_a_sleeping_process_at_once() {
    let world = World::new();
    let child = world.fork(first());
    world.call(child, nr::__NR_pause, &[]);
    assert_eq!(world.result(first(), nr::__NR_kill, &[3, 15]), 0);
    assert_eq!(world.result(first(), nr::__NR_wait4, &[u64::MAX, BASE, 0, 0]), 3);
    assert_eq!(i32::from_le_bytes(world.read(first(), BASE)), 15);
    assert_eq!(world.result(first(), nr::__NR_kill, &[3, 15]), error(Errno::ESRCH));
}

#[test]
fn a_handler_is_entered_and_left() {
    const HANDLER: u64 = 0x40_0000;
    const RESTORER: u64 = 0x40_1000;
    const SA_RESTORER: u64 = 0x0400_0000;
    let world = World::new();
    world.write(first(), BASE, &[HANDLER, SA_RESTORER, RESTORER, 0].map(u64::to_le_bytes).concat());
    assert_eq!(world.result(first(), nr::__NR_rt_sigaction, &[10, BASE, 0, 8]), 0);
    let mut regs = world.regs(first());
    (regs.rip, regs.rsp) = (0x1234, BASE + 0x8000);
    let guest = world.kernel.task(first()).unwrap().guest.clone();
    guest.set_regs(&regs);
    world.result(first(), nr::__NR_kill, &[2, 10]);
    let inside = world.regs(first());
    assert_eq!((inside.rip, inside.rdi), (HANDLER, 10));
    assert_eq!(inside.rsp % 16, 8);
    assert_eq!(u64::from_le_bytes(world.read(first(), inside.rsp)), RESTORER);
    // The signal itself is blocked while its handler runs.
    assert_eq!(world.kernel.task(first()).unwrap().mask.get().0, 1 << 9);
    guest.set_regs(&fated_kernel::arch::Regs { rsp: inside.rsp + 8, ..inside });
    world.result(first(), nr::__NR_rt_sigreturn, &[]);
    let after = world.regs(first());
    assert_eq!((after.rip, after.rsp, after.rax), (0x1234, BASE + 0x8000, 0));
    assert_eq!(world.kernel.task(first()).unwrap().mask.get().0, 0);
}

#[test]
fn a_stopped_process_does_not_run_and_its_parent_learns_of_it() {
    const WUNTRACED: u64 = 2;
    const WCONTINUED: u64 = 8;
    let world = World::new();
    let child = world.fork(first());
    world.result(first(), nr::__NR_kill, &[3, 19]);
    assert_eq!(world.result(first(), nr::__NR_wait4, &[3, BASE, WUNTRACED, 0]), 3);
    assert_eq!(i32::from_le_bytes(world.read(first(), BASE)), 19 << 8 | 0x7f);
    world.result(first(), nr::__NR_kill, &[3, 18]);
    assert_eq!(world.result(first(), nr::__NR_wait4, &[3, BASE, WCONTINUED, 0]), 3);
    assert_eq!(i32::from_le_bytes(world.read(first(), BASE)), 0xffff);
    assert_eq!(world.result(child, nr::__NR_getpid, &[]), 3);
}

#[test]
fn sleeping_takes_virtual_time_only() {
    let world = World::new();
    world.write(first(), BASE, &[3600_u64, 0].map(u64::to_le_bytes).concat());
    let before = world.kernel.timers.now();
    assert_eq!(world.result(first(), nr::__NR_nanosleep, &[BASE, 0]), 0);
    let passed = world.kernel.timers.now() - before;
    assert!((3_600_000_000_000..3_600_001_000_000).contains(&passed), "{passed}");
}

#[test]
fn data_goes_through_a_pipe() {
    let world = World::new();
    assert_eq!(world.result(first(), nr::__NR_pipe2, &[BASE, 0]), 0);
    let [a, b, c, d, e, f, g, h] = world.read(first(), BASE);
    let (reads, writes) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let child = world.fork(first());
    world.call(first(), nr::__NR_read, &[reads.into(), BASE + 64, 10]);
    world.write(child, BASE + 128, b"hello");
    assert_eq!(world.result(child, nr::__NR_write, &[writes.into(), BASE + 128, 5]), 5);
    assert_eq!(world.returned(first()), 5);
    assert_eq!(&world.read::<5>(first(), BASE + 64), b"hello");
}

#[test]
fn a_run_in_which_nothing_can_happen_ends() {
    let world = World::new();
    world.call(first(), nr::__NR_pause, &[]);
    assert!(matches!(world.ending(), Ending::Deadlock(tasks) if tasks.len() == 1));
}

#[test]
fn the_status_of_the_run_is_that_of_the_first_process() {
    let world = World::new();
    world.fork(first());
    world.call(first(), nr::__NR_exit_group, &[3]);
    world.call(tid(3), nr::__NR_exit_group, &[4]);
    assert_eq!(world.ending(), Ending::Exited(3 << 8));
}
