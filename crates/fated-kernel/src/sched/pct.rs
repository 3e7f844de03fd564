//! Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): the task with the highest priority runs. Priorities are
//! random, and at a few random moments the running task drops below all others.

use crate::sched::choice::Choice;
use crate::sched::choose::Chooser;
use crate::sched::entity::Entity;
use core::cell::Cell;

/// The calls between two changes of priority are drawn below this.
const CHANGE_SPAN: u64 = 2000;
/// After how many calls a task drops that doesn't wait: it may spin until a task that it outranks does something.
const LONGEST_SPIN: u32 = 20_000;

/// What a run queue under PCT knows beyond the priorities.
#[derive(Debug)]
pub(super) struct Pct {
    used: bool,
    /// How many calls are made until the next change.
    calls_left: Cell<u64>,
    changes_left: Cell<u32>,
    /// Each task that drops gets a priority below this one, and this becomes it. New tasks come above.
    lowest: Cell<u64>,
}

impl Pct {
    /// With `None` there is another policy. Priorities and changes are drawn all the same, so that the scheduler's stream goes on
    /// alike under every policy.
    pub(super) fn new(chooser: &Chooser, changes: Option<u32>) -> Pct {
        let pct = Pct {
            used: changes.is_some(),
            calls_left: Cell::new(0),
            changes_left: Cell::new(changes.unwrap_or(0)),
            lowest: Cell::new(u64::MAX >> 1),
        };
        pct.calls_left.set(pct.draw(chooser, Choice::Change, CHANGE_SPAN));
        pct
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
        let (calls, changes) = (self.calls_left.get(), self.changes_left.get());
        if calls == 0 && changes > 0 {
            self.calls_left.set(chooser.choose(Choice::Change, CHANGE_SPAN));
            self.changes_left.set(changes - 1);
            return self.put_last(entity);
        }
        self.calls_left.set(calls.saturating_sub(1));
        if used >= LONGEST_SPIN {
            self.put_last(entity);
        }
    }
}
