//! Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): the task with the highest priority runs. Priorities are
//! random, and at a few random moments the running task drops below all others.

use crate::sched::choice::Choice;
use crate::sched::choose::Chooser;
use crate::sched::entity::Entity;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

/// Without a span, the calls between two changes are drawn below this.
const LONGEST_DISTANCE: u64 = 1 << 14;
/// After how many calls a task drops that doesn't wait: it may spin until a task that it outranks does something.
const LONGEST_SPIN: u32 = 20_000;

/// What a run queue under PCT knows beyond the priorities.
#[derive(Debug)]
pub(super) struct Pct {
    used: bool,
    /// How many calls are made until the next change, if there is one.
    calls_left: Cell<Option<u64>>,
    changes_left: Cell<u32>,
    /// With a span, the distances of the changes behind the next one, the last one first.
    distances: RefCell<Vec<u64>>,
    /// Each task that drops gets a priority below this one, and this becomes it. New tasks come above.
    lowest: Cell<u64>,
}

impl Pct {
    /// With `None` there is another policy; else this is how many changes there are, and their span ([`Policy::Pct`]). A priority is drawn
    /// under every policy, so that the scheduler's stream goes on alike.
    ///
    /// [`Policy::Pct`]: crate::config::Policy::Pct
    pub(super) fn new(chooser: &Chooser, used: Option<(u32, u32)>) -> Pct {
        let pct = Pct {
            used: used.is_some(),
            calls_left: Cell::new(None),
            changes_left: Cell::new(0),
            distances: RefCell::default(),
            lowest: Cell::new(u64::MAX >> 1),
        };
        match used {
            None => _ = chooser.pass_over(Choice::Change),
            Some((changes, 0)) => pct.changes_left.set(changes),
            Some((changes, span)) => {
                let mut points: Vec<u64> =
                    (0..changes).map(|_| chooser.choose(Choice::Change, u64::from(span))).collect();
                points.sort_unstable();
                let mut before = 0;
                for point in &mut points {
                    *point -= core::mem::replace(&mut before, *point);
                }
                points.reverse();
                pct.distances.replace(points);
            }
        }
        pct.begin_next(chooser);
        pct
    }

    /// The next change is the one to wait for.
    fn begin_next(&self, chooser: &Chooser) {
        let draw = || {
            self.changes_left.set(self.changes_left.get().checked_sub(1)?);
            Some(chooser.choose_magnitude(Choice::Change, LONGEST_DISTANCE))
        };
        let known = self.distances.borrow_mut().pop();
        self.calls_left.set(known.or_else(draw));
    }

    fn draw(&self, chooser: &Chooser, what: Choice, among: u64) -> u64 {
        if self.used { chooser.choose(what, among) } else { chooser.pass_over(what) }
    }

    /// Whether this is the policy.
    pub(super) fn is_used(&self) -> bool {
        self.used
    }

    /// A new task gets its priority.
    pub(super) fn admit(&self, chooser: &Chooser, entity: &Entity) {
        entity.priority.set(u64::MAX / 2 + self.draw(chooser, Choice::Priority, u64::MAX / 2));
    }

    /// Which of `entities` has the highest priority; of equal ones the first.
    pub(super) fn highest<'a>(entities: impl Iterator<Item = &'a Entity>) -> usize {
        let best = entities.enumerate().max_by_key(|(at, entity)| (entity.priority.get(), usize::MAX - at));
        best.map_or(0, |(at, _)| at)
    }

    /// Lets all others run before a task.
    pub(super) fn put_last(&self, entity: &Entity) {
        self.lowest.set(self.lowest.get().saturating_sub(1));
        entity.priority.set(self.lowest.get());
        entity.begin_again();
    }

    /// Counts a call of the running task.
    pub(super) fn count_call(&self, chooser: &Chooser, entity: &Entity) {
        let used = entity.count(1);
        match self.calls_left.get() {
            Some(0) => {
                self.begin_next(chooser);
                return self.put_last(entity);
            }
            left => self.calls_left.set(left.map(|left| left - 1)),
        }
        if used >= LONGEST_SPIN {
            self.put_last(entity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use alloc::rc::Rc;

    /// At which calls of one task priorities change.
    fn changes(seed: u64, changes: u32, span: u32, calls: u32) -> Vec<u32> {
        let chooser = Chooser::new(seed, Rc::new(Journal::off()));
        let pct = Pct::new(&chooser, Some((changes, span)));
        let task = Entity::default();
        pct.admit(&chooser, &task);
        let changes_at = |_: &u32| {
            let before = task.priority.get();
            pct.count_call(&chooser, &task);
            task.priority.get() != before
        };
        (0..calls).filter(changes_at).collect()
    }

    #[test]
    fn with_a_span_each_call_of_it_is_as_likely() {
        const SEEDS: u64 = 20_000;
        let mut hits = [0_u32; 100];
        for seed in 0..SEEDS {
            let points = changes(seed, 3, 100, 1000);
            assert!((1..=3).contains(&points.len()) && points.iter().all(|&at| at < 103), "{points:?}");
            points.iter().filter(|&&at| at < 100).for_each(|&at| hits[at as usize] += 1);
        }
        // Three changes among a hundred calls: a call is one of them in 3 % of the runs.
        assert!(hits.iter().all(|hits| (450..750).contains(hits)), "{hits:?}");
    }

    #[test]
    fn without_a_span_short_and_long_runs_are_looked_into() {
        const SEEDS: u64 = 4000;
        let mut found = [0_u32; 4];
        for seed in 0..SEEDS {
            let points = changes(seed, 3, 0, 5000);
            for (found, range) in found.iter_mut().zip([0..10, 10..100, 100..1000, 1000..5000]) {
                *found += u32::from(points.iter().any(|at| range.contains(at)));
            }
        }
        assert!(found.iter().all(|&found| found > SEEDS as u32 / 5), "{found:?}");
    }
}
