//! The times that stand for the modification times of files that are not old: each gets a place in the minute before the epoch, by
//! where it lies among those that have one. So the order of files is kept whatever their distance, and nothing else of their times is
//! seen: runs with files in the same order are the same.
//!
//! Invariant: the places are in the order of the times, and different times have different places.

use alloc::{collections::BTreeMap, vec::Vec};

/// How many places there are: the nanoseconds of a minute.
pub(super) const ROOM: i64 = 60_000_000_000;
/// Beyond the first and the last one there is room for many more in order, as an unpacked archive has them.
const STEP: i64 = ROOM >> 20;

/// The places by time, both in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct TimeLine(BTreeMap<i64, i64>);

/// Places that have been given up, and those that stand for them now.
pub(super) type Moves = Vec<(i64, i64)>;

impl TimeLine {
    /// The place of a time, below [`ROOM`]. Where two that have places lie too close to each other for a new one between them, all
    /// are moved.
    pub fn place(&mut self, time: i64) -> (i64, Moves) {
        if let Some(&place) = self.0.get(&time) {
            return (place, Moves::new());
        }
        if let Some(place) = self.between(time) {
            self.0.insert(time, place);
            return (place, Moves::new());
        }
        self.0.insert(time, -1);
        let gap = ROOM / (self.0.len() as i64 + 1);
        let mut moves = Moves::new();
        for (place, new) in self.0.values_mut().zip((1..).map(|number| number * gap)) {
            if *place >= 0 && *place != new {
                moves.push((*place, new));
            }
            *place = new;
        }
        moves.sort_unstable();
        (self.0.get(&time).copied().unwrap_or(0), moves)
    }

    /// A free place between the neighbours of a time, if there is one.
    fn between(&self, time: i64) -> Option<i64> {
        let below = self.0.range(..time).next_back().map(|(_, &place)| place);
        let above = self.0.range(time..).next().map(|(_, &place)| place);
        let place = match (below, above) {
            (None, None) => ROOM / 2,
            (Some(below), None) => below + STEP.min((ROOM - below) / 2),
            (None, Some(above)) => above - STEP.min((above + 1) / 2),
            (Some(below), Some(above)) => below + (above - below) / 2,
        };
        (below.is_none_or(|below| place > below) && above.is_none_or(|above| place < above)).then_some(place)
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
    fn only_the_order_counts() {
        let order = [5, 3, 9, 1, 7, 2, 8];
        assert_eq!(check(order.into_iter()), check(order.into_iter().map(|time: i64| time.pow(9) - 77)));
    }
}
