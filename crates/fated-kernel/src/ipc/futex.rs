//! Who sleeps on which futex. The calls are in [`crate::syscall::futex`].
//!
//! Invariants: a waiter stands in at most one line; whoever wakes it takes it out and says so on it, and the woken task
//! looks at nothing else. Lines are in the order of arrival.
//!
//! A private futex is named by its address space and address. A shared one may stand at many addresses, and which
//! addresses are the same memory only the real Linux knows. Asking it is slow, and nearly all waits on shared futexes are
//! joins of threads, in one address space: so waiters on shared futexes stand in one line, and the real Linux is asked
//! only when a waiter and a waker meet whose addresses differ.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::host::Kernel;
use crate::process::task::{MmId, Task};
use crate::sched::Woken;
use alloc::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    vec::Vec,
};
use core::cell::{Cell, OnceCell, RefCell};

/// Matches every wake (`FUTEX_BITSET_MATCH_ANY`).
pub const ANY: u32 = u32::MAX;

/// A byte of a file that is mapped shared: device, inode, offset.
type Byte = (u64, u64, u64);

/// A futex, as a task names it.
#[derive(Clone, Debug)]
pub struct Futex {
    /// Whether other processes may have it mapped.
    pub shared: bool,
    /// The address space.
    pub mm: MmId,
    /// The address in it.
    pub addr: u64,
    /// What is mapped there, once someone has asked; `None` inside for memory that no other address space has.
    byte: OnceCell<Option<Byte>>,
}

impl Futex {
    /// The futex at `addr` of the calling task; it need not be readable, but it is aligned.
    pub fn new(cx: &Cx, addr: u64, shared: bool) -> Result<Futex, Errno> {
        /// Where addresses of user space end.
        const END: u64 = 0x7fff_ffff_f000;
        if !addr.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        if addr >= END {
            return Err(Errno::EFAULT);
        }
        Ok(Futex { shared, mm: cx.task.mm.get(), addr, byte: OnceCell::new() })
    }

    fn byte(&self, task: &Task) -> Option<Byte> {
        *self.byte.get_or_init(|| mapped_byte(&task.guest.proc_file("maps").unwrap_or_default(), self.addr))
    }

    /// Whether both are one; each comes with a task that has it in its address space.
    fn is(&self, task: &Task, other: &Futex, other_task: &Task) -> bool {
        if self.shared != other.shared {
            return false;
        }
        if self.mm == other.mm && self.addr == other.addr {
            return true;
        }
        // The offset within a page is that of the file: most pairs differ already in this.
        self.shared
            && self.addr % 4096 == other.addr % 4096
            && self.byte(task).is_some_and(|byte| other.byte(other_task) == Some(byte))
    }
}

/// The byte of a shared file mapping at `addr`, out of `/proc/PID/maps`.
fn mapped_byte(maps: &[u8], addr: u64) -> Option<Byte> {
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    for line in core::str::from_utf8(maps).ok()?.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(rights), Some(offset), Some(device), Some(inode)) =
            (words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let Some((start, end)) = range.split_once('-') else { continue };
        let (start, end) = (hex(start)?, hex(end)?);
        if (start..end).contains(&addr) {
            if !rights.ends_with('s') {
                return None;
            }
            let (major, minor) = device.split_once(':')?;
            let device = hex(major)? << 32 | hex(minor)?;
            return Some((device, inode.parse().ok()?, hex(offset)?.wrapping_add(addr - start)));
        }
    }
    None
}

/// A task in a line; one that waits for several futexes stands in several.
#[derive(Debug)]
pub struct Waiter {
    task: Rc<Task>,
    futex: RefCell<Futex>,
    bits: u32,
    /// Waits for a lock that its owner hands over (`FUTEX_LOCK_PI`), not for a wake.
    wants_lock: bool,
    woken: Cell<bool>,
}

/// The lines of all waiters.
#[derive(Debug, Default)]
pub struct Futexes {
    private: BTreeMap<(MmId, u64), VecDeque<Rc<Waiter>>>,
    shared: VecDeque<Rc<Waiter>>,
    /// How many waiters want a lock.
    locks: usize,
}

impl Futexes {
    fn line(&self, futex: &Futex) -> Option<&VecDeque<Rc<Waiter>>> {
        if futex.shared { Some(&self.shared) } else { self.private.get(&(futex.mm, futex.addr)) }
    }

    fn push(&mut self, waiter: Rc<Waiter>) {
        self.locks += usize::from(waiter.wants_lock);
        let (shared, key) = {
            let futex = waiter.futex.borrow();
            (futex.shared, (futex.mm, futex.addr))
        };
        let line = if shared { &mut self.shared } else { self.private.entry(key).or_default() };
        line.push_back(waiter);
    }

    fn remove(&mut self, waiter: &Rc<Waiter>) {
        let futex = waiter.futex.borrow();
        let key = (futex.mm, futex.addr);
        let line = if futex.shared { Some(&mut self.shared) } else { self.private.get_mut(&key) };
        let Some(line) = line else { return };
        let before = line.len();
        line.retain(|other| !Rc::ptr_eq(other, waiter));
        if line.len() < before {
            self.locks -= usize::from(waiter.wants_lock);
        }
        if line.is_empty() && !futex.shared {
            self.private.remove(&key);
        }
    }

    /// The first `count` waiters on `futex`, which `cx` names, that `wanted` accepts.
    fn find(&self, cx: &Cx, futex: &Futex, count: usize, wanted: impl Fn(&Waiter) -> bool) -> Vec<Rc<Waiter>> {
        let line = self.line(futex).into_iter().flatten();
        let here = |waiter: &&Rc<Waiter>| wanted(waiter) && waiter.futex.borrow().is(&waiter.task, futex, &cx.task);
        line.filter(here).take(count).cloned().collect()
    }
}

/// Places in lines; dropping it leaves those that are still held.
#[derive(Debug)]
pub struct Places {
    kernel: Rc<Kernel>,
    waiters: Vec<Rc<Waiter>>,
}

impl Places {
    /// Puts the task at the end of the line of each futex that comes with the bits that may wake it.
    pub fn take(cx: &Cx, futexes: Vec<(Futex, u32)>, wants_lock: bool) -> Places {
        let mut waiters = Vec::with_capacity(futexes.len());
        for (futex, bits) in futexes {
            let (task, futex) = (cx.task.clone(), RefCell::new(futex));
            let waiter = Rc::new(Waiter { task, futex, bits, wants_lock, woken: Cell::new(false) });
            cx.kernel.futexes.borrow_mut().push(waiter.clone());
            waiters.push(waiter);
        }
        Places { kernel: cx.kernel.clone(), waiters }
    }

    /// Which of the futexes was woken, if one was; the last one of many.
    #[must_use]
    pub fn woken(&self) -> Option<usize> {
        self.waiters.iter().rposition(|waiter| waiter.woken.get())
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let mut futexes = self.kernel.futexes.borrow_mut();
        self.waiters.iter().for_each(|waiter| futexes.remove(waiter));
    }
}

/// Takes a waiter out of its line and wakes its task.
fn release(cx: &Cx, waiter: &Rc<Waiter>) {
    cx.kernel.futexes.borrow_mut().remove(waiter);
    waiter.woken.set(true);
    cx.kernel.wake(&waiter.task, Woken::Event);
}

/// Wakes at most `count` waiters whose bits meet `bits`; returns how many. `EINVAL` if the first wants a lock.
pub fn wake(cx: &Cx, futex: &Futex, count: usize, bits: u32) -> Result<u64, Errno> {
    let found = cx.kernel.futexes.borrow().find(cx, futex, count, |waiter| waiter.bits & bits != 0);
    let mut done = 0;
    for waiter in &found {
        if waiter.wants_lock {
            return if done == 0 { Err(Errno::EINVAL) } else { Ok(done) };
        }
        release(cx, waiter);
        done += 1;
    }
    Ok(done)
}

/// Wakes the first `wakes` waiters and moves the next `moves` to the line of `to`; returns both numbers.
pub fn requeue(cx: &Cx, from: &Futex, to: &Futex, wakes: usize, moves: usize) -> Result<(u64, u64), Errno> {
    let found = cx.kernel.futexes.borrow().find(cx, from, wakes.saturating_add(moves), |_| true);
    if found.iter().any(|waiter| waiter.wants_lock) {
        return Err(Errno::EINVAL);
    }
    let mut woken = 0;
    let mut moved = 0;
    for waiter in &found {
        if woken < wakes as u64 {
            release(cx, waiter);
            woken += 1;
            continue;
        }
        moved += 1;
        let mut futexes = cx.kernel.futexes.borrow_mut();
        futexes.remove(waiter);
        // What is mapped at the new address of another address space is known through the caller's.
        let target = to.clone();
        if target.shared && target.mm != waiter.task.mm.get() {
            let _ = target.byte(&cx.task);
        }
        waiter.futex.replace(target);
        futexes.push(waiter.clone());
    }
    Ok((woken, moved))
}

/// Whether anyone waits for the lock at `futex`.
pub fn is_wanted(cx: &Cx, futex: &Futex) -> bool {
    !cx.kernel.futexes.borrow().find(cx, futex, 1, |waiter| waiter.wants_lock).is_empty()
}

/// Wakes the first that waits for the lock at `futex`, after `grant` has entered it as the owner: it gets the id and
/// whether others go on waiting. `false` if nobody waits.
pub fn hand_over(cx: &Cx, futex: &Futex, grant: impl FnOnce(u32, bool) -> Result<(), Errno>) -> Result<bool, Errno> {
    let found = cx.kernel.futexes.borrow().find(cx, futex, 2, |waiter| waiter.wants_lock);
    let Some(first) = found.first() else { return Ok(false) };
    grant(first.task.tid.get().get(), found.len() > 1)?;
    release(cx, first);
    Ok(true)
}

/// The locks that others wait for, by their addresses in the address space of the calling task.
pub fn wanted_locks(cx: &Cx) -> Vec<Futex> {
    let futexes = cx.kernel.futexes.borrow();
    if futexes.locks == 0 {
        return Vec::new();
    }
    let mm = cx.task.mm.get();
    let waiters = futexes.private.values().flatten().chain(&futexes.shared);
    let mut locks: Vec<Futex> = Vec::new();
    for waiter in waiters.filter(|waiter| waiter.wants_lock) {
        let futex = waiter.futex.borrow();
        if futex.mm == mm && !locks.iter().any(|other| other.addr == futex.addr && other.shared == futex.shared) {
            locks.push(futex.clone());
        }
    }
    locks
}

#[cfg(test)]
mod tests {
    use super::mapped_byte;

    const MAPS: &[u8] = b"\
00400000-00402000 r-xp 00001000 08:01 1234                               /bin/x
7f0000000000-7f0000004000 rw-s 00002000 00:01 77                         /dev/zero (deleted)
7f0000004000-7f0000008000 rw-p 00000000 00:00 0
";

    #[test]
    fn only_shared_mappings_have_a_name_in_common() {
        assert_eq!(mapped_byte(MAPS, 0x400010), None);
        assert_eq!(mapped_byte(MAPS, 0x7f00_0000_1008), Some((1, 77, 0x3008)));
        assert_eq!(mapped_byte(MAPS, 0x7f00_0000_4000), None);
        assert_eq!(mapped_byte(MAPS, 0x10), None);
        assert_eq!(mapped_byte(b"\xff", 0x10), None);
    }
}
