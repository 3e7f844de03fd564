//! The times that stand for the modification times of files that are not old: each gets a place in the day before the epoch, by
//! where it lies among those that have one. So the order of files is kept whatever their distance, and nothing else of their times is
//! seen: runs with files in the same order are the same.
//!
//! Invariant: the places are in the order of the times, and different times have different places.

use alloc::{collections::BTreeMap, vec::Vec};

/// How many places there are: the nanoseconds of a day.
pub(super) const ROOM: i64 = 86_400_000_000_000;
/// Of a gap that is being filled in order, a step takes this power of a half at least: an unpacked archive has many files.
const FINEST: u32 = 14;

/// What stands for a time.
#[derive(Debug)]
struct Entry {
    place: i64,
    /// How many entries were made before it.
    age: usize,
    /// How many entries in a row, this one last, came next to one another: upwards or, if negative, downwards.
    run: i32,
}

/// The places by time, both in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct TimeLine(BTreeMap<i64, Entry>);

/// Places that have been given up, and those that stand for them now.
pub(super) type Moves = Vec<(i64, i64)>;

impl TimeLine {
    /// The place of a time, below [`ROOM`]. Where two that have places lie too close to each other for a new one between them, all
    /// are moved.
    pub fn place(&mut self, time: i64) -> (i64, Moves) {
        if let Some(entry) = self.0.get(&time) {
            return (entry.place, Moves::new());
        }
        let age = self.0.len();
        if let Some((place, run)) = self.between(time) {
            self.0.insert(time, Entry { place, age, run });
            return (place, Moves::new());
        }
        self.0.insert(time, Entry { place: -1, age, run: 0 });
        let gap = ROOM / (self.0.len() as i64 + 1);
        let mut moves = Moves::new();
        for (entry, new) in self.0.values_mut().zip((1..).map(|number| number * gap)) {
            if entry.place >= 0 && entry.place != new {
                moves.push((entry.place, new));
            }
            entry.place = new;
        }
        moves.sort_unstable();
        (self.0.get(&time).map_or(0, |entry| entry.place), moves)
    }

    /// A free place between the neighbours of a time, if there is one, and the run that it belongs to. In a gap that was filled in
    /// order so far, that is likely to go on: the longer the run, the more of the gap is left for it.
    fn between(&self, time: i64) -> Option<(i64, i32)> {
        let below = self.0.range(..time).next_back().map(|(_, entry)| entry);
        let above = self.0.range(time..).next().map(|(_, entry)| entry);
        let (low, high) = (below.map_or(-1, |it| it.place), above.map_or(ROOM, |it| it.place));
        let is_upwards = above.is_none_or(|above| below.is_some_and(|below| below.age > above.age));
        let run =
            if is_upwards { below.map_or(0, |it| it.run.max(0)) + 1 } else { above.map_or(0, |it| it.run.min(0)) - 1 };
        let step = ((high - low) >> (run.unsigned_abs() / 2 + 1).min(FINEST)).max(1);
        let place = if is_upwards { low + step } else { high - step };
        (low < place && place < high).then_some((place, run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::rng::Rng;

    /// Enters times in this order, and follows the moves as files do.
    fn check(times: impl Iterator<Item = i64>) -> Vec<i64> {
        let mut line = TimeLine::default();
        let mut shown: Vec<(i64, i64)> = Vec::new();
        for time in times {
            let (place, moves) = line.place(time);
            for (_, known) in &mut shown {
                if let Ok(at) = moves.binary_search_by_key(known, |&(old, _)| old) {
                    *known = moves[at].1;
                }
            }
            shown.push((time, place));
        }
        shown.sort_unstable();
        for pair in shown.windows(2) {
            assert_eq!(pair[0].0.cmp(&pair[1].0), pair[0].1.cmp(&pair[1].1), "{pair:?}");
        }
        assert!(shown.iter().all(|(_, place)| (0..ROOM).contains(place)));
        shown.into_iter().map(|(_, place)| place).collect()
    }

    #[test]
    fn order_is_kept_whatever_the_distances() {
        const N: i64 = 2000;
        check(0..N);
        check((0..N).rev());
        check((0..N).map(|time| time << 50));
        // From both ends inwards, and from the middle outwards, which leave the least room.
        check((0..N).map(|number| if number % 2 == 0 { number } else { 2 * N - number }));
        check((0..N).map(|number| if number % 2 == 0 { N + number } else { N - number }));
        check([i64::MIN, i64::MAX, 0, -1, 1, i64::MAX - 1, i64::MIN + 1].into_iter());
        // Each between the two before it.
        let (mut low, mut high) = (0, i64::MAX);
        check((0..62).map(|number| {
            let middle = low + (high - low) / 2;
            if number % 3 == 0 {
                low = middle
            } else {
                high = middle
            }
            middle
        }));
        let rng = Rng::new(1, 1);
        check((0..N).map(|_| rng.below(500) as i64));
    }

    #[test]
    fn few_orders_move_anything() {
        let moved = |times: &mut dyn Iterator<Item = i64>| {
            let mut line = TimeLine::default();
            times.map(|time| line.place(time).1.len()).sum::<usize>()
        };
        const N: i64 = 5000;
        let ends = || [0, 3 * N].into_iter();
        assert_eq!(moved(&mut ends().chain(1..N)), 0);
        assert_eq!(moved(&mut ends().chain((1..N).rev())), 0);
        // Some folders, whose files are looked at by turns.
        assert_eq!(moved(&mut ends().chain((1..N).map(|number| number % 3 * N + number / 3 + 1))), 0);
        let rng = Rng::new(1, 1);
        assert_eq!(moved(&mut (0..N).map(|_| rng.below(1 << 40) as i64)), 0);
    }

    #[test]
    fn only_the_order_counts() {
        let order = [5, 3, 9, 1, 7, 2, 8];
        assert_eq!(check(order.into_iter()), check(order.into_iter().map(|time: i64| time.pow(9) - 77)));
    }
}
