//! The descriptors that every guest holds for the engine: the file that the blob's text is mapped from, the blob's
//! own file, and the arena's.
//!
//! A fork copies the table of descriptors up to the highest one. So these three are low at first, and move up when a
//! guest comes near. Linux hands out the lowest free number: a number from [`NEAR`] on shows that the guest has come
//! near. All other numbers the guest chooses itself. The kernel keeps a guest's numbers below the soft limit, so the
//! three move to the first place at or above it, and on when the guest raises the limit beyond that.
//!
//! Invariants: while a process holds them low, all its other descriptors are below [`NEAR`]. Otherwise all others are
//! below them.

use alloc::vec::Vec;
use core::cell::Cell;

use fated_kernel::arch::Call;
use fated_kernel::errno::Errno;
use linux_raw_sys::general::*;

use crate::enter::gate;
use crate::protocol::layout::{ARENA_FD, BASES, BLOB_FD, COUNT, NEAR, TEXT_FD, place_above};
use crate::sys;

/// Where a process holds them. Each process has its own record, even if it shares its table of descriptors.
#[derive(Default)]
pub struct Descriptors {
    /// An index of [`BASES`].
    place: Cell<usize>,
    /// Another process shares the table, so they can't move any more.
    shared: Cell<bool>,
}

/// Reads or sets the real limit on descriptors. `EPERM`: the hard one is lower.
pub fn real_limit(new: Option<[u64; 2]>) -> Result<[u64; 2], Errno> {
    let mut old = [0; 2];
    let at = new.as_ref().map_or(core::ptr::null(), |new| new.as_ptr());
    let args = [0, RLIMIT_NOFILE.into(), at as u64, old.as_mut_ptr() as u64, 0, 0];
    sys::ask(__NR_prlimit64, args).map(|_| old)
}

/// The limit that a move to a place needs, if the present one is `limit`.
fn limit_for(place: usize, limit: [u64; 2]) -> [u64; 2] {
    limit.map(|limit| limit.max((BASES[place] + COUNT) as u64))
}

impl Descriptors {
    /// At a place.
    pub fn at(place: usize) -> Descriptors {
        Descriptors { place: Cell::new(place.min(BASES.len() - 1)), ..Descriptors::default() }
    }

    /// Has them at a place.
    pub fn set_place(&self, place: usize) {
        self.place.set(place);
    }

    /// Takes over the place from a parent: the child has a copy of its table, or shares it.
    pub fn inherit(&self, parent: &Descriptors, shares: bool) {
        self.place.set(parent.place.get());
        self.shared.set(shares);
    }

    /// The argument vector of a new image. Its length says where they are: [`of_image`].
    pub fn arguments(&self) -> [u64; BASES.len() + 1] {
        let name = c"fated".as_ptr() as u64;
        core::array::from_fn(|at| if at <= self.place.get() { name } else { 0 })
    }

    /// The present numbers of [`TEXT_FD`], [`BLOB_FD`] and [`ARENA_FD`].
    pub fn all(&self) -> [i32; 3] {
        let add = BASES[self.place.get()] - TEXT_FD;
        [TEXT_FD, BLOB_FD, ARENA_FD].map(|fd| fd + add)
    }

    /// Whether a number is one of theirs.
    #[inline]
    pub fn hold(&self, fd: u64) -> bool {
        let [first, .., last] = self.all();
        (first..=last).contains(&(fd as i32))
    }

    /// Whether they have moved up.
    fn is_up(&self) -> bool {
        self.place.get() > 0
    }

    /// Moves them up, out of the guest's reach. If Linux refuses, which no guest can cause, they stay.
    pub fn raise(&self) {
        if !self.is_up()
            && let Ok([soft, _]) = real_limit(None)
            && let Some(place) = place_above(soft)
        {
            let _ = self.move_to(place);
        }
    }

    /// Prepares for another process that shares the table: they stay above all limits but root's.
    pub fn share(&self) {
        self.raise();
        self.shared.set(true);
    }

    /// The process has a table of its own again.
    pub fn unshare(&self) {
        self.shared.set(false);
    }

    fn move_to(&self, place: usize) -> Result<(), Errno> {
        let old = self.all();
        let to = old.map(|fd| fd - old[0] + BASES[place]);
        let limit = real_limit(None)?;
        real_limit(Some(limit_for(place, limit)))?;
        let dup = |(fd, to): (i32, i32)| sys::ask(__NR_dup3, [fd as u64, to as u64, 0, 0, 0, 0]).map(drop);
        let moved = old.into_iter().zip(to).try_for_each(dup);
        if moved.is_ok() {
            self.place.set(place);
        }
        let left = if moved.is_ok() { old } else { to };
        left.into_iter().for_each(sys::close);
        // The real hard limit may stay above the guest's, which the kernel keeps.
        let [_, hard] = limit_for(place, limit);
        real_limit(Some([limit[0], hard]))?;
        moved
    }

    /// A guest sets its limits, and may have descriptors up to the soft one from now on.
    fn set_limit(&self, at: u64) -> Result<(), Errno> {
        let mut new = [0_u64; 2];
        // SAFETY: `new` is writable; `copy_guest` survives a fault at the other address.
        let left = unsafe { gate::copy_guest(new.as_mut_ptr() as u64, at, size_of_val(&new) as u64) };
        if left > 0 {
            return Err(Errno::EFAULT);
        }
        let [soft, hard] = new;
        let place = place_above(soft).ok_or(Errno::EPERM)?;
        let old = real_limit(None)?;
        let needed = limit_for(place, [soft, hard.max(old[1])]);
        // While they are low, there must be room for the move up.
        real_limit(Some([soft, needed[1]]))?;
        if self.is_up() && self.place.get() < place {
            if self.shared.get() {
                return Err(Errno::EMFILE);
            }
            self.move_to(place)?;
        }
        Ok(())
    }

    /// Runs before a call in the guest's name. Returns the result if Linux must not be asked.
    #[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
    pub fn before(&self, call: &Call) -> Option<i64> {
        let [_, second, third, ..] = call.args;
        let number = call.number as u32;
        if number == __NR_prlimit64 && second as u32 == RLIMIT_NOFILE && third != 0 {
            return Some(self.set_limit(third).map_or_else(|errno| -i64::from(errno.number()), |()| 0));
        }
        let comes_near = match number {
            __NR_dup2 | __NR_dup3 => u64::from(second as u32) >= NEAR,
            __NR_fcntl => duplicates(call) && u64::from(third as u32) >= NEAR,
            _ => false,
        };
        if comes_near {
            self.raise();
        }
        None
    }

    /// Runs after such a call. `opens`: the call returns a descriptor.
    #[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
    pub fn after(&self, call: &Call, opens: bool, result: i64) {
        if self.is_up() || result < 0 {
            return;
        }
        let newest = match call.number as u32 {
            __NR_pipe2 => {
                let mut pair = [0_u32; 2];
                // SAFETY: `pair` is writable; `copy_guest` survives a fault at the other address.
                unsafe { gate::copy_guest(pair.as_mut_ptr() as u64, call.args[0], size_of_val(&pair) as u64) };
                u64::from(pair[0].max(pair[1]))
            }
            _ if (result as u64) < NEAR => 0,
            __NR_fcntl if !duplicates(call) => 0,
            __NR_fcntl => result as u64,
            _ if opens => result as u64,
            _ => 0,
        };
        if newest >= NEAR {
            self.raise();
        }
    }
}

/// Whether a call of fcntl(2) duplicates a descriptor.
fn duplicates(call: &Call) -> bool {
    [F_DUPFD, F_DUPFD_CLOEXEC].contains(&(call.args[1] as u32))
}

/// The descriptors in a new image that was started with so many arguments.
pub fn of_image(arguments: u64) -> [i32; 3] {
    Descriptors::at(arguments.max(1) as usize - 1).all()
}

/// Closes all descriptors of the calling process from 3 on but the engine's `own` and these.
pub fn close_others(own: [i32; 3], kept: &[i32]) -> Result<(), Errno> {
    let mut kept: Vec<u64> = kept.iter().chain(&own).map(|&fd| fd as u64).filter(|&fd| fd > 2).collect();
    kept.sort_unstable();
    let mut first = 3;
    for end in kept.into_iter().chain([1 << 32]) {
        if first < end {
            sys::ask(__NR_close_range, [first, end - 1, 0, 0, 0, 0])?;
        }
        first = end + 1;
    }
    Ok(())
}
