//! The numbers and times that stand for those of real inodes.
//!
//! A run may see hundreds of thousands of files, and everything known about them lies in memory that its processes share. So a number
//! takes four bytes, next to those of neighbouring inodes, and times are kept only for files whose times have been asked for.

use crate::fs::inode::Times;
use alloc::{vec, vec::Vec};

/// The first number that an inode gets: file systems have their root there.
const FIRST: u32 = 2;
/// How many inodes that follow each other are looked up together: files of one directory often do.
const GROUP: u64 = 16;

type Group = [u32; GROUP as usize];

/// Where the numbers of a group of inodes stand.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// The real inode numbers, divided by [`GROUP`].
    inos: u64,
    /// Which of the devices.
    device: u32,
    /// Which of the groups, counted from 1; 0 for a bucket that isn't in use.
    group: u32,
}

/// All inodes that the run has met.
#[derive(Debug, Default)]
pub struct Inodes {
    /// The real devices, of which there are few.
    devices: Vec<u64>,
    /// A hash table with open addressing, whose size is a power of two. Nothing is ever removed, and nobody asks for its order.
    table: Vec<Bucket>,
    /// The bucket that was found last: what is looked up next is often its neighbour.
    last: Bucket,
    /// The numbers; 0 for an inode that hasn't been met.
    groups: Vec<Group>,
    /// By number: which of `times` are the inode's, counted from 1.
    known: Vec<u32>,
    times: Vec<Times>,
}

impl Inodes {
    /// Where in the table a group stands, or would stand.
    fn find(&self, inos: u64, device: u32) -> usize {
        // The golden ratio, for it spreads what follows each other: all but neighbours, which are looked up together.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        const NEIGHBOURS: u64 = 8;
        let mask = self.table.len().wrapping_sub(1);
        let hash = ((inos / NEIGHBOURS) ^ (u64::from(device) << 48)).wrapping_mul(SPREAD);
        let mut at = ((hash >> 32) * NEIGHBOURS + inos % NEIGHBOURS) as usize & mask;
        while let Some(bucket) = self.table.get(at)
            && bucket.group != 0
            && (bucket.inos, bucket.device) != (inos, device)
        {
            at = (at + 1) & mask;
        }
        at
    }

    fn slot(&mut self, dev: u64, ino: u64) -> Option<&mut u32> {
        let device = self.devices.iter().position(|&known| known == dev).unwrap_or_else(|| {
            self.devices.push(dev);
            self.devices.len() - 1
        });
        let (inos, device) = (ino / GROUP, device as u32);
        let bucket = self.bucket(inos, device)?;
        let group = bucket.group as usize - 1;
        self.groups.get_mut(group)?.get_mut((ino % GROUP) as usize)
    }

    fn bucket(&mut self, inos: u64, device: u32) -> Option<Bucket> {
        if self.last.group != 0 && (self.last.inos, self.last.device) == (inos, device) {
            return Some(self.last);
        }
        let mut at = self.find(inos, device);
        if self.table.get(at).is_none_or(|bucket| bucket.group == 0) {
            if self.groups.len() * 2 >= self.table.len() {
                self.grow();
                at = self.find(inos, device);
            }
            self.groups.push(Group::default());
            *self.table.get_mut(at)? = Bucket { inos, device, group: u32::try_from(self.groups.len()).ok()? };
        }
        self.last = *self.table.get(at)?;
        Some(self.last)
    }

    /// Makes the table twice as large.
    fn grow(&mut self) {
        const SMALLEST: usize = 64;
        let size = (self.table.len() * 2).max(SMALLEST);
        let old = core::mem::replace(&mut self.table, vec![Bucket::default(); size]);
        for bucket in old.into_iter().filter(|bucket| bucket.group != 0) {
            let at = self.find(bucket.inos, bucket.device);
            if let Some(slot) = self.table.get_mut(at) {
                *slot = bucket;
            }
        }
    }

    /// The number of a real inode; the next free one at first sight.
    pub fn number(&mut self, dev: u64, ino: u64) -> u64 {
        match self.slot(dev, ino) {
            Some(&mut number) if number != 0 => number.into(),
            _ => self.renew(dev, ino),
        }
    }

    /// Gives a real inode the next free number, whatever it had before.
    pub fn renew(&mut self, dev: u64, ino: u64) -> u64 {
        let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX).saturating_add(FIRST);
        self.known.push(0);
        if let Some(slot) = self.slot(dev, ino) {
            *slot = number;
        }
        number.into()
    }

    /// The times of inode `number`, if there are any yet.
    #[must_use]
    pub fn known_times(&self, number: u64) -> Option<Times> {
        let index = usize::try_from(number.checked_sub(FIRST.into())?).ok()?;
        let at = self.known.get(index)?.checked_sub(1)?;
        self.times.get(at as usize).copied()
    }

    /// Changes times that lie at an old place behind `from` to the new one. `moves` is in order.
    pub fn move_times(&mut self, from: i64, moves: &[(i64, i64)]) {
        let moved = |time: &mut i64| {
            let place = time.wrapping_sub(from);
            if let Some(&(_, new)) =
                moves.binary_search_by_key(&place, |&(old, _)| old).ok().and_then(|at| moves.get(at))
            {
                *time = from.saturating_add(new);
            }
        };
        for times in &mut self.times {
            let all = [&mut times.atime_ns, &mut times.mtime_ns, &mut times.ctime_ns, &mut times.btime_ns];
            all.into_iter().for_each(moved);
        }
    }

    /// The times of inode `number`, which are `first` if there are none yet. `None`: no inode has this number.
    pub fn times(&mut self, number: u64, first: impl FnOnce() -> Times) -> Option<&mut Times> {
        let index = usize::try_from(number.checked_sub(FIRST.into())?).ok()?;
        let known = self.known.get_mut(index)?;
        if *known == 0 {
            self.times.push(first());
            *known = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        }
        self.times.get_mut(*known as usize - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::rng::Rng;
    use alloc::collections::BTreeMap;

    #[test]
    fn numbers_are_those_of_a_plain_map() {
        let rng = Rng::new(1, 1);
        let mut inodes = Inodes::default();
        let (mut plain, mut last) = (BTreeMap::new(), u64::from(FIRST) - 1);
        for _ in 0..20_000 {
            let (dev, ino) = (rng.below(3), rng.below(2000) * rng.below(3));
            let is_new = rng.below(8) == 0;
            let number = if is_new { inodes.renew(dev, ino) } else { inodes.number(dev, ino) };
            if is_new || !plain.contains_key(&(dev, ino)) {
                last += 1;
                plain.insert((dev, ino), last);
            }
            assert_eq!(number, plain[&(dev, ino)]);
        }
    }

    #[test]
    fn times_stay_with_their_inode() {
        let mut inodes = Inodes::default();
        let numbers: Vec<u64> = (0..100).map(|ino| inodes.number(7, ino)).collect();
        for &number in numbers.iter().rev().step_by(3) {
            assert_eq!(inodes.times(number, || Times::all(number as i64)).copied(), Some(Times::all(number as i64)));
        }
        for &number in &numbers {
            let at = inodes.times(number, || Times::all(number as i64)).copied();
            assert_eq!(at, Some(Times::all(number as i64)), "of {number}");
        }
        let renewed = inodes.renew(7, 5);
        assert_eq!(
            inodes.times(renewed, || Times::all(-1)).copied(),
            Some(Times::all(-1)),
            "a new file has times of its own"
        );
        assert_eq!(inodes.times(renewed + 1, || Times::all(0)), None);
        assert_eq!(inodes.times(0, || Times::all(0)), None);
    }
}
