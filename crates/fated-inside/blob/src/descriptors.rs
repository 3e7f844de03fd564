//! The descriptors that every guest holds for the engine: the program that the blob's text comes from, the blob's own file, and the
//! arena's.
//!
//! A fork copies a table of descriptors that reaches up to the highest one. So they are low at first, and go up before a
//! guest comes near: Linux gives out the lowest number that is free, so that one from [`NEAR`] on tells that the guest
//! gets there, and others are named by the guest. Above, they are just behind the limit that guests begin with,
//! where Linux never puts one unless a guest raises it.
//!
//! Invariant: as long as a process holds them low, all others of it are below [`NEAR`].

use core::cell::Cell;

use fated_kernel::arch::Call;
use linux_raw_sys::general::*;

use crate::host::host;
use crate::wire::{ARENA_FD, BLOB_FD, TEXT_FD};
use crate::{gate, guard, sys};

/// How much farther up they go.
pub const UP: i32 = 1024 - TEXT_FD;
/// Where the guest's are near: so far below that no call makes as many at once.
const NEAR: u64 = TEXT_FD as u64 - 14;

/// Where a process holds them; not shared, as is its table of descriptors.
#[derive(Default)]
pub struct Descriptors {
    up: Cell<bool>,
}

impl Descriptors {
    /// Those of a child with a copy of the table, or of one that is said to share it: these have gone up by then.
    pub fn inherit(&self, parent: &Descriptors) {
        self.up.set(parent.up.get());
    }

    /// The arguments of a new image, whose number tells it where they are: [`of_image`].
    pub fn arguments(&self) -> [u64; 3] {
        let name = c"fated".as_ptr() as u64;
        [name, if self.up.get() { name } else { 0 }, 0]
    }

    /// Those of [`TEXT_FD`], [`BLOB_FD`] and [`ARENA_FD`].
    pub fn all(&self) -> [i32; 3] {
        let add = if self.up.get() { UP } else { 0 };
        [TEXT_FD, BLOB_FD, ARENA_FD].map(|fd| fd + add)
    }

    /// Brings them out of the guest's way. Where Linux refuses that, which no guest can bring about, they stay.
    pub fn raise(&self) {
        if self.up.get() {
            return;
        }
        let mut limit = [0_u64; 2];
        let end = (ARENA_FD + UP) as u64 + 1;
        let set_limit = |new: *const u64, old: *mut u64| {
            sys::call(__NR_prlimit64, [0, RLIMIT_NOFILE.into(), new as u64, old as u64, 0, 0])
        };
        set_limit(core::ptr::null(), limit.as_mut_ptr());
        let enough = [limit[0].max(end), limit[1].max(end)];
        set_limit(enough.as_ptr(), core::ptr::null_mut());
        let moved = |fd: i32| sys::ask(__NR_dup3, [fd as u64, (fd + UP) as u64, 0, 0, 0, 0]).is_ok();
        let all = self.all();
        self.up.set(all.into_iter().all(moved));
        let left = if self.up.get() { all } else { all.map(|fd| fd + UP) };
        left.into_iter().for_each(sys::close);
        set_limit(limit.as_ptr(), core::ptr::null_mut());
    }

    /// Before a call is made in the guest's name.
    #[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
    pub fn before(&self, call: &Call) {
        if self.up.get() {
            return;
        }
        let [_, second, third, ..] = call.args;
        let comes_near = match call.number as u32 {
            __NR_dup2 | __NR_dup3 => u64::from(second as u32) >= NEAR,
            __NR_fcntl => duplicates(call) && u64::from(third as u32) >= NEAR,
            // No limit below them may keep them from going up.
            __NR_prlimit64 => true,
            _ => false,
        };
        if comes_near {
            self.raise();
        }
    }

    /// After it.
    #[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
    pub fn after(&self, call: &Call, result: i64) {
        if self.up.get() || result < 0 {
            return;
        }
        let newest = match call.number as u32 {
            __NR_pipe2 => {
                let mut pair = [0_u32; 2];
                // SAFETY: `pair` can be written; a fault at the other address is mended.
                unsafe { gate::copy_guest(pair.as_mut_ptr() as u64, call.args[0], size_of_val(&pair) as u64) };
                u64::from(pair[0].max(pair[1]))
            }
            _ if (result as u64) < NEAR => 0,
            __NR_fcntl if !duplicates(call) => 0,
            __NR_fcntl => result as u64,
            _ if guard::opens(call) => result as u64,
            _ => 0,
        };
        if newest >= NEAR {
            self.raise();
        }
    }
}

/// Whether a call of fcntl(2) makes a descriptor.
fn duplicates(call: &Call) -> bool {
    [F_DUPFD, F_DUPFD_CLOEXEC].contains(&(call.args[1] as u32))
}

/// Those of a new image with so many arguments.
pub fn of_image(arguments: u64) -> [i32; 3] {
    Descriptors { up: Cell::new(arguments > 1) }.all()
}

/// Those of the process that has the turn; before there is one, of the first.
#[inline]
pub fn own() -> [i32; 3] {
    host().current.get().map_or([TEXT_FD, BLOB_FD, ARENA_FD], |process| process.descriptors.all())
}

/// Whether it is one of them.
pub fn guarded(fd: u64) -> bool {
    let [first, .., last] = own();
    (first..=last).contains(&(fd as i32))
}

/// Whether a name below `/proc/self` is that of one of them, in this folder.
pub fn is_named(folder: &str, name: &str) -> bool {
    let number = name.strip_prefix(folder).and_then(|rest| rest.parse().ok());
    number.is_some_and(guarded)
}
