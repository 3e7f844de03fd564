//! Lookup without a walk. Each process keeps the ready events of its children and tracees, in the order in which Linux's walk would
//! find them, once for all and once per process group. It also counts those that may have an event later. A wait takes
//! the first event; its cost depends on how many are ready, not on how many are alive.
//!
//! Invariant: the entry of a task is its [`View`] at the last refresh.

use crate::consider::{Answer, Side, consider, consider_pid};
use crate::id::Pgid;
use crate::lookup::Lookup;
use crate::request::{__WNOTHREAD, Selector, WCONTINUED, WEXITED, WaitRequest};
use crate::table::{NONE, Slot, Table};
use crate::view::{Class, Hope, View, classes_for, kinds_for};
use crate::waiters::{Ask, Waiters};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By task: as a child, as a tracee.
    views: Vec<[Option<View>; 2]>,
    /// By process; processes without relatives have no entry.
    homes: Vec<Option<Box<Home>>>,
    waiters: Waiters,
}

/// The children and tracees of one process.
#[derive(Debug, Default)]
struct Home {
    all: Scope,
    pgrps: BTreeMap<Pgid, Scope>,
}

/// Those of them that one selector matches.
#[derive(Debug, Default)]
struct Scope {
    views: u32,
    hopes: Hopes,
    /// By thread: what `__WNOTHREAD` sees.
    threads: BTreeMap<u64, (u32, Hopes)>,
    /// By bucket.
    counts: [u32; BUCKETS],
    ready: BTreeSet<Entry>,
}

/// How many may have an event later, by class.
#[derive(Debug, Default)]
struct Hopes {
    always: [u32; 3],
    late: [u32; 3],
}

/// A class and a kind of event.
const BUCKETS: usize = 12;

fn bucket(class: Class, kind: u32) -> u8 {
    class as u8 * 4 + kind as u8
}

/// A ready event, ordered as in a thread's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    bucket: u8,
    thread: u64,
    side: u8,
    place: u64,
    slot: Slot,
}

impl Entry {
    /// Before all entries of the thread in the bucket.
    fn start(bucket: u8, thread: u64) -> Self {
        Self { bucket, thread, side: 0, place: 0, slot: 0 }
    }
}

impl Hopes {
    fn count(&mut self, view: &View) -> Option<&mut u32> {
        match view.hope {
            Hope::Never => None,
            Hope::Late => Some(&mut self.late[view.class as usize]),
            Hope::Always => Some(&mut self.always[view.class as usize]),
        }
    }

    fn any(&self, request: &WaitRequest) -> bool {
        let late = request.options & (WEXITED | WCONTINUED) != 0;
        classes_for(request)
            .iter()
            .any(|&class| self.always[class as usize] > 0 || (late && self.late[class as usize] > 0))
    }
}

impl Scope {
    fn insert(&mut self, view: &View, slot: Slot) {
        self.views += 1;
        let (views, hopes) = self.threads.entry(view.thread).or_default();
        *views += 1;
        for hopes in [hopes, &mut self.hopes] {
            if let Some(count) = hopes.count(view) {
                *count += 1;
            }
        }
        for entry in entries(view, slot) {
            self.counts[entry.bucket as usize] += 1;
            self.ready.insert(entry);
        }
    }

    fn remove(&mut self, view: &View, slot: Slot) {
        self.views -= 1;
        if let Some((views, hopes)) = self.threads.get_mut(&view.thread) {
            *views -= 1;
            for hopes in [hopes, &mut self.hopes] {
                if let Some(count) = hopes.count(view) {
                    *count -= 1;
                }
            }
            if *views == 0 {
                self.threads.remove(&view.thread);
            }
        }
        for entry in entries(view, slot) {
            self.counts[entry.bucket as usize] -= 1;
            self.ready.remove(&entry);
        }
    }

    /// The first ready event, beginning with the lists of `thread` and going on through the threads of the process.
    fn first(&self, thread: u64, request: &WaitRequest) -> Option<Entry> {
        let kinds = kinds_for(request);
        let mut best: Option<(bool, Entry)> = None;
        for &class in classes_for(request) {
            for kind in 0..4 {
                let bucket = bucket(class, kind);
                if kinds & (1 << kind) == 0 || self.counts[bucket as usize] == 0 {
                    continue;
                }
                let own = Entry::start(bucket, thread);
                let end = match request.has(__WNOTHREAD) {
                    true => Entry::start(bucket, thread + 1),
                    false => Entry::start(bucket + 1, 0),
                };
                let mut found = self.ready.range(own..end).next().map(|&entry| (false, entry));
                if found.is_none() && !request.has(__WNOTHREAD) {
                    found = self.ready.range(Entry::start(bucket, 0)..own).next().map(|&entry| (true, entry));
                }
                let order = |(wrapped, entry): (bool, Entry)| (wrapped, entry.thread, entry.side, entry.place);
                if found.is_some_and(|found| best.is_none_or(|best| order(found) < order(best))) {
                    best = found;
                }
            }
        }
        best.map(|(_, entry)| entry)
    }

    fn find(&self, table: &Table, caller: Slot, request: &WaitRequest) -> Answer {
        let thread = table.task(caller).order;
        if let Some(entry) = self.first(thread, request) {
            let side = if entry.side == Side::Child as u8 { Side::Child } else { Side::Tracee };
            return consider(table, request, side, entry.slot);
        }
        let hope = match request.has(__WNOTHREAD) {
            true => self.threads.get(&thread).is_some_and(|(_, hopes)| hopes.any(request)),
            false => self.hopes.any(request),
        };
        if hope { Answer::Hope } else { Answer::Nothing }
    }
}

fn entries(view: &View, slot: Slot) -> impl Iterator<Item = Entry> + use<> {
    let View { class, kinds, thread, side, place, .. } = *view;
    (0..4).filter(move |kind| kinds & (1 << kind) != 0).map(move |kind| Entry {
        bucket: bucket(class, kind),
        thread,
        side: side as u8,
        place,
        slot,
    })
}

impl Index {
    fn home(&self, group: u32) -> Option<&Home> {
        self.homes.get(group as usize)?.as_deref()
    }

    fn set(&mut self, slot: Slot, side: Side, view: Option<View>) {
        let at = slot as usize;
        if self.views.len() <= at {
            self.views.resize(at + 1, [None; 2]);
        }
        let old = core::mem::replace(&mut self.views[at][side as usize], view);
        if old == view {
            return;
        }
        if let Some(view) = old {
            self.drop_view(&view, slot);
        }
        if let Some(view) = view {
            let at = view.group as usize;
            if self.homes.len() <= at {
                self.homes.resize_with(at + 1, || None);
            }
            let home = self.homes[at].get_or_insert_default();
            home.all.insert(&view, slot);
            home.pgrps.entry(view.pgid).or_default().insert(&view, slot);
        }
    }

    fn drop_view(&mut self, view: &View, slot: Slot) {
        let Some(Some(home)) = self.homes.get_mut(view.group as usize) else { return };
        home.all.remove(view, slot);
        if let Some(scope) = home.pgrps.get_mut(&view.pgid) {
            scope.remove(view, slot);
            if scope.views == 0 {
                home.pgrps.remove(&view.pgid);
            }
        }
        if home.all.views == 0 {
            self.homes[view.group as usize] = None;
        }
    }
}

impl Lookup for Index {
    fn refresh(&mut self, table: &Table, task: Slot) {
        self.set(task, Side::Child, View::child(table, task));
        self.set(task, Side::Tracee, View::tracee(table, task));
    }

    fn find(&self, table: &Table, caller: Slot, request: &WaitRequest) -> Answer {
        let group = table.task(caller).group;
        let scope = match request.selector {
            Selector::Nothing => None,
            Selector::Any => self.home(group).map(|home| &home.all),
            Selector::Group(pgid) => self.home(group).and_then(|home| home.pgrps.get(&pgid)),
            Selector::Task(tid) => {
                let is_mine = |slot| slot == caller || (!request.has(__WNOTHREAD) && table.same_process(slot, caller));
                return consider_pid(table, request, tid, is_mine);
            }
        };
        scope.map_or(Answer::Nothing, |scope| scope.find(table, caller, request))
    }

    fn block(&mut self, table: &Table, caller: Slot, request: &WaitRequest) {
        self.waiters.insert(table.task(caller).group, caller, request);
    }

    fn unblock(&mut self, _: &Table, caller: Slot) {
        self.waiters.remove(caller);
    }

    fn woken(&self, table: &Table, changed: Slot, parent: Slot, woken: &mut Vec<Slot>) {
        if self.waiters.places.is_empty() {
            return;
        }
        let group = table.task(parent).group;
        let mut found = Vec::new();
        let tid = table.task(changed).tid;
        for selector in [Selector::Any, Selector::Task(tid), Selector::Group(table.group(changed).pgid)] {
            for only in [NONE, table.reports_to(changed)] {
                let first = Ask { group, selector, only, options: 0 };
                let last = Ask { options: u32::MAX, ..first };
                for (class, members) in self.waiters.classes.range(first..=last) {
                    let request = WaitRequest { selector, options: class.options, again: false };
                    // All waiters of a class get the same answer, so one question is enough.
                    if let Some(&waiter) = members.values().next()
                        && self.find(table, waiter, &request) != Answer::Hope
                    {
                        found.extend(members);
                    }
                }
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        woken.extend(found.into_iter().map(|(_, &waiter)| waiter));
    }
}
