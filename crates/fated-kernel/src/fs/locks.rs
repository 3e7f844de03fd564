//! File locks: flock(2), and the record locks of fcntl(2) (`F_SETLK`, `F_OFD_SETLK`) that belong to a process or to an open file description.
//!
//! The state of all locks that guests hold, and who waits for one. It mirrors the locks of the real files: those are taken first,
//! as a process outside of the run may hold one too. So the kernel knows what Linux doesn't say: which guest holds a lock, who can
//! go on when it is released, and which processes would wait for each other (`EDEADLK`).
//!
//! Invariants: the locks of one owner in one file don't overlap, lie in order and are as few as possible; the owners of a file come
//! in the order of their first lock. A lock of a process ends with any close of a descriptor of that file, the locks of an open
//! file description with its last descriptor.

use crate::errno::Errno;
use crate::id::Pid;
use crate::sched::wait_queue::WaitQueue;
use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};
use core::fmt;

/// Whose a lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// All who share a table of descriptors (its address), as record locks of POSIX are owned.
    Table(usize),
    /// An open file description (its address).
    Description(usize),
}

/// A real file: its device and inode.
pub type FileId = (u64, u64);

/// The two kinds of locks, which don't see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// flock(2): of the whole file.
    Flock,
    /// fcntl(2): of ranges.
    Record,
}

/// Bytes of a file, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first one.
    pub first: u64,
    /// The last one; [`Span::END`] stands for all there will ever be.
    pub last: u64,
}

impl Span {
    /// The end of the longest file (`OFFSET_MAX`).
    pub const END: u64 = i64::MAX as u64;
    /// All of a file.
    pub const ALL: Span = Span { first: 0, last: Span::END };

    /// The bytes that a `struct flock` names, from `from` on; `None` if it names none that there can be.
    #[must_use]
    pub fn of_flock(from: i64, len: i64) -> Option<Span> {
        let (first, last) = match len {
            0 => (from, i64::MAX),
            1.. => (from, from.checked_add(len - 1)?),
            _ => (from.checked_add(len)?, from.checked_sub(1)?),
        };
        Some(Span { first: u64::try_from(first).ok()?, last: u64::try_from(last).ok()? })
    }

    fn overlaps(self, other: Span) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn touches(self, next: Span) -> bool {
        self.last.checked_add(1) == Some(next.first)
    }
}

/// A lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who holds it.
    pub owner: Owner,
    /// The process that took it.
    pub pid: Pid,
    /// What it covers.
    pub span: Span,
    /// Nobody else may have any lock there.
    pub exclusive: bool,
}

impl Lock {
    fn conflicts(&self, other: &Lock) -> bool {
        self.owner != other.owner && self.span.overlaps(other.span) && (self.exclusive || other.exclusive)
    }
}

/// The locks of one kind in one file.
#[derive(Clone, Debug, Default)]
pub struct Ranges(Vec<Lock>);

impl Ranges {
    /// The first lock of another owner that conflicts with `wish`.
    #[must_use]
    pub fn conflict(&self, wish: &Lock) -> Option<Lock> {
        self.0.iter().find(|lock| lock.conflicts(wish)).copied()
    }

    /// Puts `lock` in place of what its owner holds there.
    pub fn set(&mut self, lock: Lock) {
        self.change(lock.owner, lock.span, Some(lock));
    }

    /// Takes away what `owner` holds in `span`.
    pub fn clear(&mut self, owner: Owner, span: Span) {
        self.change(owner, span, None);
    }

    fn change(&mut self, owner: Owner, span: Span, new: Option<Lock>) {
        let at = self.0.iter().position(|lock| lock.owner == owner).unwrap_or(self.0.len());
        let old = self.0.get(at..).unwrap_or_default().iter().take_while(|lock| lock.owner == owner);
        let old: Vec<Lock> = old.copied().collect();
        let mut locks = Vec::with_capacity(old.len() + 2);
        for lock in &old {
            if !lock.span.overlaps(span) {
                locks.push(*lock);
                continue;
            }
            if lock.span.first < span.first {
                locks.push(Lock { span: Span { last: span.first - 1, ..lock.span }, ..*lock });
            }
            if lock.span.last > span.last {
                locks.push(Lock { span: Span { first: span.last + 1, ..lock.span }, ..*lock });
            }
        }
        locks.extend(new);
        locks.sort_unstable_by_key(|lock| lock.span.first);
        let mut merged: Vec<Lock> = Vec::with_capacity(locks.len());
        for lock in locks {
            match merged.last_mut() {
                Some(last) if last.exclusive == lock.exclusive && last.span.touches(lock.span) => {
                    last.span.last = lock.span.last;
                }
                _ => merged.push(lock),
            }
        }
        self.0.splice(at..at + old.len(), merged);
    }
}

/// The locks of one file.
#[derive(Debug, Default)]
struct FileLocks {
    flocks: Ranges,
    records: Ranges,
}

impl FileLocks {
    fn of(&mut self, kind: LockKind) -> &mut Ranges {
        match kind {
            LockKind::Flock => &mut self.flocks,
            LockKind::Record => &mut self.records,
        }
    }

    fn is_empty(&self) -> bool {
        self.flocks.0.is_empty() && self.records.0.is_empty()
    }
}

/// A lock that a call asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The file.
    pub file: FileId,
    /// How.
    pub kind: LockKind,
    /// What.
    pub lock: Lock,
}

/// Tries again to take a lock from somebody outside of the run; `true` if the waiter is to go on.
pub type Retry = Rc<dyn Fn() -> bool>;

struct Waiter {
    number: u64,
    wish: Wish,
    queue: WaitQueue,
    retry: Retry,
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("number", &self.number).field("wish", &self.wish).finish_non_exhaustive()
    }
}

/// All file locks of a host.
#[derive(Debug, Default)]
pub struct Locks {
    files: RefCell<BTreeMap<FileId, FileLocks>>,
    /// Who waits, in the order of arrival.
    waiters: RefCell<Vec<Waiter>>,
    next: Cell<u64>,
}

impl Locks {
    /// Whether a task waits for a lock.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        !self.waiters.borrow().is_empty()
    }

    /// The lock of another guest that keeps a wish from being granted. `None` if none does.
    #[must_use]
    pub fn conflict(&self, wish: &Wish) -> Option<Lock> {
        self.files.borrow_mut().get_mut(&wish.file)?.of(wish.kind).conflict(&wish.lock)
    }

    /// The real Linux has granted a lock.
    pub fn set(&self, wish: &Wish) {
        self.files.borrow_mut().entry(wish.file).or_default().of(wish.kind).set(wish.lock);
    }

    /// Releases what `owner` holds in a part of a file.
    pub fn clear(&self, file: FileId, kind: LockKind, owner: Owner, span: Span) {
        let mut files = self.files.borrow_mut();
        if let Some(locks) = files.get_mut(&file) {
            locks.of(kind).clear(owner, span);
            if locks.is_empty() {
                files.remove(&file);
            }
        }
    }

    /// Releases all that `owner` holds.
    fn release(&self, owner: Owner) {
        self.files.borrow_mut().retain(|_, locks| {
            locks.flocks.0.retain(|lock| lock.owner != owner);
            locks.records.0.retain(|lock| lock.owner != owner);
            !locks.is_empty()
        });
    }

    /// Locks may have been released: wakes, first come first, those whom no other guest keeps from going on.
    pub fn wake(&self) {
        if !self.is_awaited() {
            return;
        }
        let waiters = self.waiters.borrow();
        for waiter in waiters.iter().filter(|waiter| self.conflict(&waiter.wish).is_none()) {
            waiter.queue.wake();
        }
    }

    /// Whether the owner of a wish would wait, over others who wait, for itself (`EDEADLK`). Linux looks no farther than this either.
    pub fn check_deadlock(&self, wish: &Wish) -> Result<(), Errno> {
        const FARTHEST: usize = 10;
        let waiters = self.waiters.borrow();
        let mut blocked = *wish;
        for _ in 0..FARTHEST {
            let Some(holder) = self.conflict(&blocked).map(|lock| lock.owner) else { break };
            if holder == wish.lock.owner {
                return Err(Errno::EDEADLK);
            }
            if matches!(holder, Owner::Description(_)) {
                break;
            }
            let waits = |waiter: &&Waiter| waiter.wish.kind == LockKind::Record && waiter.wish.lock.owner == holder;
            match waiters.iter().find(waits) {
                Some(waiter) => blocked = waiter.wish,
                None => break,
            }
        }
        Ok(())
    }

    /// Whether a task waits for a lock that no guest holds: somebody outside of the run does.
    #[must_use]
    pub fn awaits_outsider(&self) -> bool {
        self.waiters.borrow().iter().any(|waiter| self.conflict(&waiter.wish).is_none())
    }

    /// Tries to take, in the order of arrival, what somebody outside has held. `true` if that has woken a task. A try that fails
    /// leaves no trace in the run, so it doesn't matter how many there are.
    pub fn retry_outside(&self) -> bool {
        if !self.is_awaited() {
            return false;
        }
        let waiters = self.waiters.borrow();
        let outside = waiters.iter().filter(|waiter| self.conflict(&waiter.wish).is_none());
        let outside: Vec<(WaitQueue, Retry)> =
            outside.map(|waiter| (waiter.queue.clone(), waiter.retry.clone())).collect();
        drop(waiters);
        let mut woken = false;
        for (queue, retry) in outside {
            if retry() {
                queue.wake();
                woken = true;
            }
        }
        woken
    }

    /// Queues a waiter, to be woken by `queue`.
    #[must_use]
    pub fn wait(self: &Rc<Self>, wish: Wish, queue: WaitQueue, retry: Retry) -> Waits {
        let number = self.next.replace(self.next.get() + 1);
        self.waiters.borrow_mut().push(Waiter { number, wish, queue, retry });
        Waits { locks: self.clone(), number }
    }
}

/// A waiter's place; dropping it leaves.
#[derive(Debug)]
pub struct Waits {
    locks: Rc<Locks>,
    number: u64,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.locks.waiters.borrow_mut().retain(|waiter| waiter.number != self.number);
    }
}

/// Kept by an owner that has locked something: with it, all its locks end.
#[derive(Debug)]
pub struct Held {
    locks: Rc<Locks>,
    owner: Owner,
}

impl Held {
    /// From now on `owner` may hold locks.
    #[must_use]
    pub fn new(locks: &Rc<Locks>, owner: Owner) -> Held {
        Held { locks: locks.clone(), owner }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.locks.release(self.owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 24;
    const OWNERS: usize = 4;

    /// The twin: who holds which byte, and how.
    type Bytes = [[Option<bool>; SIZE as usize]; OWNERS];

    fn lock(owner: usize, first: u64, last: u64, exclusive: bool) -> Lock {
        let pid = Pid::new(owner as u32 + 1).unwrap();
        Lock { owner: Owner::Table(owner), pid, span: Span { first, last }, exclusive }
    }

    fn conflicts(bytes: &Bytes, wish: &Lock, own: usize) -> bool {
        let span = wish.span.first as usize..=wish.span.last as usize;
        let others = bytes.iter().enumerate().filter(|&(owner, _)| owner != own);
        others.flat_map(|(_, held)| &held[span.clone()]).flatten().any(|&exclusive| exclusive || wish.exclusive)
    }

    /// The locks of an owner, read off its bytes.
    fn expected(held: &[Option<bool>], owner: usize) -> Vec<Lock> {
        let mut locks: Vec<Lock> = Vec::new();
        for (at, exclusive) in (0..).zip(held) {
            let Some(exclusive) = *exclusive else { continue };
            match locks.last_mut() {
                Some(last) if last.span.last + 1 == at && last.exclusive == exclusive => last.span.last = at,
                _ => locks.push(lock(owner, at, at, exclusive)),
            }
        }
        locks
    }

    #[test]
    fn ranges_are_as_if_each_byte_were_locked_by_itself() {
        for seed in 1..200_u64 {
            let mut state = seed;
            let mut draw = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let mut ranges = Ranges::default();
            let mut bytes: Bytes = [[None; SIZE as usize]; OWNERS];
            for step in 0..200 {
                let owner = draw(OWNERS as u64) as usize;
                let first = draw(SIZE);
                let last = first + draw(SIZE - first);
                let wish = lock(owner, first, last, draw(2) == 0);
                let conflict = ranges.conflict(&wish);
                assert_eq!(conflict.is_some(), conflicts(&bytes, &wish, owner), "seed {seed}, step {step}");
                assert!(conflict.is_none_or(|held| held.conflicts(&wish)));
                let span = first as usize..=last as usize;
                if draw(3) == 0 {
                    ranges.clear(wish.owner, wish.span);
                    bytes[owner][span].fill(None);
                } else if conflict.is_none() {
                    ranges.set(wish);
                    bytes[owner][span].fill(Some(wish.exclusive));
                }
                for (owner, held) in bytes.iter().enumerate() {
                    let own: Vec<Lock> =
                        ranges.0.iter().filter(|lock| lock.owner == Owner::Table(owner)).copied().collect();
                    assert_eq!(own, expected(held, owner), "seed {seed}, step {step}");
                }
                let mut groups: Vec<Owner> = ranges.0.iter().map(|lock| lock.owner).collect();
                groups.dedup();
                let count = bytes.iter().filter(|held| held.iter().any(Option::is_some)).count();
                assert_eq!(groups.len(), count, "seed {seed}, step {step}: owners are not together");
            }
        }
    }

    #[test]
    fn a_struct_flock_names_bytes_as_linux_has_it() {
        let span = |first, last| Some(Span { first, last });
        assert_eq!(Span::of_flock(5, 3), span(5, 7));
        assert_eq!(Span::of_flock(5, 0), span(5, Span::END));
        assert_eq!(Span::of_flock(5, -3), span(2, 4));
        assert_eq!(Span::of_flock(i64::MAX, 2), None);
        assert_eq!(Span::of_flock(i64::MAX, 1), span(Span::END, Span::END));
        assert_eq!(Span::of_flock(i64::MAX - 1, 1), span(Span::END - 1, Span::END - 1));
        assert_eq!(Span::of_flock(5, -6), None);
        assert_eq!(Span::of_flock(-1, 3), None);
    }
}
