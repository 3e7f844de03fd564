//! The standard streams of fated: input comes before time, and the terminal belongs to one group at a time.

use crate::world::{BASE, World, config, first};
use fated_kernel::arch::Call;
use fated_kernel::config::{Config, Input};
use fated_kernel::errno::Errno;
use fated_kernel::fs::inode::FileStat;
use fated_kernel::fs::poll;
use fated_kernel::host::{Ending, Next};
use fated_kernel::id::Tid;
use fated_kernel::ports::{Awaited, Console, Stop};
use fated_kernel::tty::input::BLOCK;
use linux_raw_sys::general as nr;
use linux_raw_sys::ioctl::{TCGETS, TIOCGPGRP, TIOCSPGRP};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Somebody who types when the test says so.
#[derive(Debug, Default)]
struct Desk {
    input: RefCell<Vec<u8>>,
    terminal: Cell<bool>,
    blocks: Cell<bool>,
}

impl Console for Desk {
    fn read(&self, _fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut input = self.input.borrow_mut();
        if input.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let len = input.len().min(buf.len());
        buf[..len].copy_from_slice(&input[..len]);
        input.drain(..len);
        Ok(len)
    }
    fn write(&self, _fd: i32, data: &[u8]) -> Result<usize, Errno> {
        Ok(data.len())
    }
    fn poll(&self, _fd: i32, want: u64) -> u32 {
        let least = if self.blocks.get() { want as usize } else { 1 };
        if self.input.borrow().len() < least { 0 } else { poll::IN }
    }
    fn stat(&self, _fd: i32) -> Result<FileStat, Errno> {
        const PIPE: u32 = 0o010_600;
        const CHARACTER: u32 = 0o020_600;
        Ok(FileStat { mode: if self.terminal.get() { CHARACTER } else { PIPE }, ..FileStat::default() })
    }
    fn ioctl(&self, _fd: i32, request: u32, _arg: &mut [u8]) -> Result<i64, Errno> {
        if self.terminal.get() && request == TCGETS { Ok(0) } else { Err(Errno::ENOTTY) }
    }
}

fn error(errno: Errno) -> i64 {
    -i64::from(errno.number())
}

#[track_caller]
fn awaits(world: &World, bits: u32) {
    let Next::AwaitConsole { streams } = world.kernel.run_until(None) else { panic!("nobody waits for input") };
    assert_eq!(streams.iter().map(|it| (it.stream, it.bits)).collect::<Vec<_>>(), [(0, bits)]);
}

fn seconds(world: &World, tid: Tid, count: u64) -> u64 {
    const AT: u64 = BASE + 0x100;
    world.write(tid, AT, &[count, 0].map(u64::to_le_bytes).concat());
    AT
}

#[test]
fn time_waits_for_input() {
    let desk = Rc::new(Desk::default());
    let world = World::with(desk.clone());
    let child = world.fork(first());
    world.call(child, nr::__NR_nanosleep, &[seconds(&world, child, 1), 0]);
    world.call(first(), nr::__NR_read, &[0, BASE, 100]);
    let before = world.kernel.timers.now();
    awaits(&world, poll::IN);
    awaits(&world, poll::IN);
    assert_eq!(world.kernel.timers.now(), before);
    desk.input.borrow_mut().extend(b"typed");
    assert_eq!(world.returned(first()), 5);
    assert_eq!(&world.read::<5>(first(), BASE), b"typed");
    assert_eq!(world.kernel.timers.now(), before);
    // Nobody waits for input any more: now the child's second passes.
    world.call(first(), nr::__NR_pause, &[]);
    assert_eq!(world.returned(child), 0);
    assert_eq!(world.kernel.timers.now() / 1_000_000_000, before / 1_000_000_000 + 1);
}

/// A host whose input comes in blocks.
fn in_blocks() -> (Rc<Desk>, World) {
    let desk = Rc::new(Desk::default());
    desk.blocks.set(true);
    let world = World::configured(Config { input: Input::Blocks, ..config() }, desk.clone(), World::nowhere(), false);
    (desk, world)
}

#[test]
fn a_block_is_as_long_as_the_read() {
    let (desk, world) = in_blocks();
    world.call(first(), nr::__NR_read, &[0, BASE, 5]);
    for (arrived, want) in [("", 5), ("ty", 5), ("pe", 5)] {
        desk.input.borrow_mut().extend(arrived.as_bytes());
        let awaited = Awaited { stream: 0, bits: poll::IN, want };
        assert_eq!(world.kernel.run_until(None), Next::AwaitConsole { streams: vec![awaited] });
    }
    desk.input.borrow_mut().extend(b"d more\n");
    assert_eq!(world.returned(first()), 5);
    assert_eq!(&world.read::<5>(first(), BASE), b"typed");
    // The line goes on, so nobody has to wait for its rest.
    assert_eq!(world.result(first(), nr::__NR_read, &[0, BASE, 6]), 6);
    world.call(first(), nr::__NR_read, &[0, BASE, 1]);
    let awaited = Awaited { stream: 0, bits: poll::IN, want: 1 };
    assert_eq!(world.kernel.run_until(None), Next::AwaitConsole { streams: vec![awaited] });
}

#[test]
fn who_asks_without_waiting_gets_a_block_when_all_wait() {
    let (desk, world) = in_blocks();
    let look = || {
        world.write(first(), BASE, &[0, 0, 0, 0, poll::IN as u8, 0, 0, 0]);
        world.result(first(), nr::__NR_poll, &[BASE, 1, 0])
    };
    desk.input.borrow_mut().extend(b"a part of a block");
    assert_eq!(look(), 0);
    world.call(first(), nr::__NR_nanosleep, &[seconds(&world, first(), 1), 0]);
    awaits(&world, poll::IN);
    let before = world.kernel.timers.now();
    awaits(&world, poll::IN);
    assert_eq!(world.kernel.timers.now(), before);
    desk.input.borrow_mut().extend(vec![b'x'; BLOCK as usize]);
    assert_eq!(world.returned(first()), 0);
    assert_eq!(look(), 1);
}

#[test]
fn who_does_not_ask_for_input_does_not_wait_for_it() {
    let (_desk, world) = in_blocks();
    // As runtimes do that want to know which descriptors are open.
    world.write(first(), BASE, &[0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(world.result(first(), nr::__NR_poll, &[BASE, 1, 0]), 0);
    assert_eq!(world.result(first(), nr::__NR_nanosleep, &[seconds(&world, first(), 1), 0]), 0);
}

#[test]
fn a_block_is_due_though_others_never_wait() {
    let (desk, world) = in_blocks();
    let child = world.fork(first());
    world.call(first(), nr::__NR_read, &[0, BASE, 5]);
    let mut calls = 0;
    loop {
        match world.kernel.run_until(None) {
            Next::Run(tid) => {
                assert_eq!(tid, child);
                calls += 1;
                world.kernel.stopped(tid, Stop::Call(Call { number: nr::__NR_getppid.into(), args: [0; 6] }));
            }
            next => {
                let awaited = Awaited { stream: 0, bits: poll::IN, want: 5 };
                assert_eq!(next, Next::AwaitConsole { streams: vec![awaited] });
                break;
            }
        }
    }
    assert!(calls > 1000, "{calls}");
    assert!(
        matches!(world.kernel.run_until(None), Next::AwaitConsole { .. }),
        "others go on before the block is there"
    );
    desk.input.borrow_mut().extend(b"typed");
    assert_eq!(world.returned(first()), 5);
}

#[test]
fn nobody_waits_for_input_after_the_first_process() {
    let world = World::with(Rc::new(Desk::default()));
    let child = world.fork(first());
    let other = world.fork(first());
    world.call(child, nr::__NR_read, &[0, BASE, 100]);
    world.call(other, nr::__NR_nanosleep, &[seconds(&world, other, 1), 0]);
    world.call(first(), nr::__NR_exit_group, &[0]);
    assert_eq!(world.returned(other), 0);
    world.call(other, nr::__NR_exit_group, &[0]);
    assert_eq!(world.ending(), Ending::Exited(0));
}

#[test]
fn a_poll_with_a_timeout_waits_for_input_too() {
    let desk = Rc::new(Desk::default());
    let world = World::with(desk.clone());
    world.write(first(), BASE, &[0, 0, 0, 0, poll::IN as u8, 0, 0, 0]);
    world.call(first(), nr::__NR_poll, &[BASE, 1, 1000]);
    awaits(&world, poll::IN);
    desk.input.borrow_mut().push(b'x');
    assert_eq!(world.returned(first()), 1);
    // One that doesn't ask for input has its time.
    world.write(first(), BASE, &[0, 0, 0, 0, 0, 0, 0, 0]);
    desk.input.borrow_mut().clear();
    assert_eq!(world.result(first(), nr::__NR_poll, &[BASE, 1, 0]), 0);
}

#[test]
fn an_epoll_instance_names_the_streams_it_watches() {
    let desk = Rc::new(Desk::default());
    let world = World::with(desk.clone());
    let epoll = world.result(first(), nr::__NR_epoll_create1, &[0]) as u64;
    let outer = world.result(first(), nr::__NR_epoll_create1, &[0]) as u64;
    world.write(first(), BASE, &[poll::IN as u8, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(world.result(first(), nr::__NR_epoll_ctl, &[epoll, 1, 0, BASE]), 0);
    assert_eq!(world.result(first(), nr::__NR_epoll_ctl, &[outer, 1, epoll, BASE]), 0);
    world.call(first(), nr::__NR_epoll_wait, &[outer, BASE, 1, 1000]);
    awaits(&world, poll::IN | poll::ERR | poll::HUP);
    desk.input.borrow_mut().push(b'x');
    assert_eq!(world.returned(first()), 1);
    assert_eq!(world.read::<5>(first(), BASE)[4], 42);
    // A watch alone, without a wait, holds nobody up.
    desk.input.borrow_mut().clear();
    let at = seconds(&world, first(), 1);
    assert_eq!(world.result(first(), nr::__NR_nanosleep, &[at, 0]), 0);
}

#[test]
fn the_terminal_stops_background_readers() {
    const WUNTRACED: u64 = 2;
    const TTIN: i32 = 21;
    let desk = Rc::new(Desk::default());
    desk.terminal.set(true);
    let world = World::with(desk);
    assert_eq!(world.result(first(), nr::__NR_ioctl, &[0, TIOCGPGRP.into(), BASE]), 0);
    assert_eq!(world.read::<4>(first(), BASE), [2, 0, 0, 0]);
    let child = world.fork(first());
    assert_eq!(world.result(child, nr::__NR_setpgid, &[0, 0]), 0);
    world.call(child, nr::__NR_read, &[0, BASE, 1]);
    assert_eq!(world.result(first(), nr::__NR_wait4, &[u64::from(child.get()), BASE, WUNTRACED, 0]), 3);
    assert_eq!(i32::from_le_bytes(world.read(first(), BASE)), TTIN << 8 | 0x7f);
    // Its group gets the terminal, and it goes on with its read.
    world.write(first(), BASE, &child.get().to_le_bytes());
    assert_eq!(world.result(first(), nr::__NR_ioctl, &[0, TIOCSPGRP.into(), BASE]), 0);
    assert_eq!(world.result(first(), nr::__NR_kill, &[u64::from(child.get()), 18]), 0);
    // A puppet doesn't make its call again by itself.
    world.call(child, nr::__NR_read, &[0, BASE, 1]);
    world.call(first(), nr::__NR_pause, &[]);
    awaits(&world, poll::IN);
}

#[test]
fn only_the_session_of_the_terminal_may_use_its_groups() {
    let desk = Rc::new(Desk::default());
    desk.terminal.set(true);
    let world = World::with(desk);
    world.write(first(), BASE, &77u32.to_le_bytes());
    assert_eq!(world.result(first(), nr::__NR_ioctl, &[0, TIOCSPGRP.into(), BASE]), error(Errno::ESRCH));
    let child = world.fork(first());
    assert_eq!(world.result(child, nr::__NR_setsid, &[]), 3);
    assert_eq!(world.result(child, nr::__NR_ioctl, &[0, TIOCGPGRP.into(), BASE]), error(Errno::ENOTTY));
    world.write(first(), BASE, &3u32.to_le_bytes());
    assert_eq!(world.result(first(), nr::__NR_ioctl, &[0, TIOCSPGRP.into(), BASE]), error(Errno::EPERM));
}
