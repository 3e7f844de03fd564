//! The lists that tasks are linked into: children, tracees, threads and group members.
//!
//! Invariant: a list is in Linux's order. Children, threads: the oldest first. Tracees, group members: the newest first.

use super::{NONE, Slot, Table, Trace};

/// Which of its lists a task is linked into.
#[derive(Clone, Copy)]
pub(crate) enum Chain {
    /// The children of a thread; leaders only.
    Sibling,
    /// The tracees of a thread.
    Tracee,
    /// The threads of a process.
    Thread,
    /// The processes of a group; leaders only.
    Member,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    prev: Slot,
    next: Slot,
}

impl Link {
    /// That of a task in no list.
    pub const NONE: Self = Self { prev: NONE, next: NONE };
}

/// Head of a doubly linked list of tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    pub head: Slot,
    tail: Slot,
}

impl List {
    pub const EMPTY: Self = Self { head: NONE, tail: NONE };

    /// Holds exactly one task.
    pub fn single(&self) -> bool {
        self.head != NONE && self.head == self.tail
    }
}

impl Table {
    pub fn next(&self, chain: Chain, slot: Slot) -> Slot {
        self.task(slot).links[chain as usize].next
    }

    /// The tasks of a list, in its order.
    pub fn walk(&self, chain: Chain, list: List) -> impl Iterator<Item = Slot> + '_ {
        let link = |slot: Slot| Some(slot).filter(|&slot| slot != NONE);
        core::iter::successors(link(list.head), move |&slot| link(self.next(chain, slot)))
    }

    pub fn push_back(&mut self, chain: Chain, list: &mut List, slot: Slot) {
        self.task_mut(slot).links[chain as usize] = Link { prev: list.tail, next: NONE };
        match list.tail {
            NONE => list.head = slot,
            tail => self.task_mut(tail).links[chain as usize].next = slot,
        }
        list.tail = slot;
    }

    pub fn push_front(&mut self, chain: Chain, list: &mut List, slot: Slot) {
        self.task_mut(slot).links[chain as usize] = Link { prev: NONE, next: list.head };
        match list.head {
            NONE => list.tail = slot,
            head => self.task_mut(head).links[chain as usize].prev = slot,
        }
        list.head = slot;
    }

    pub fn unlink(&mut self, chain: Chain, list: &mut List, slot: Slot) {
        let Link { prev, next } = self.task(slot).links[chain as usize];
        match prev {
            NONE => list.head = next,
            prev => self.task_mut(prev).links[chain as usize].next = next,
        }
        match next {
            NONE => list.tail = prev,
            next => self.task_mut(next).links[chain as usize].prev = prev,
        }
    }

    /// Replaces `old` by `new` in a list.
    pub fn replace(&mut self, chain: Chain, list: &mut List, old: Slot, new: Slot) {
        let link = self.task(old).links[chain as usize];
        self.task_mut(new).links[chain as usize] = link;
        match link.prev {
            NONE => list.head = new,
            prev => self.task_mut(prev).links[chain as usize].next = new,
        }
        match link.next {
            NONE => list.tail = new,
            next => self.task_mut(next).links[chain as usize].prev = new,
        }
    }

    /// Links a leader as the youngest child of `parent`.
    pub fn adopt(&mut self, parent: Slot, leader: Slot) {
        let (seq, pid) = (self.next_seq(), self.pid(parent));
        let group = self.group_mut(leader);
        group.parent = parent;
        group.parent_pid = Some(pid);
        group.child_seq = seq;
        let mut list = self.task(parent).children;
        self.push_back(Chain::Sibling, &mut list, leader);
        self.task_mut(parent).children = list;
    }

    /// Takes a leader out of its parent's children.
    pub fn orphan(&mut self, leader: Slot) {
        let parent = self.group(leader).parent;
        if parent != NONE {
            let mut list = self.task(parent).children;
            self.unlink(Chain::Sibling, &mut list, leader);
            self.task_mut(parent).children = list;
        }
    }

    pub fn trace(&mut self, slot: Slot, trace: Trace) {
        let seq = self.next_seq();
        let task = self.task_mut(slot);
        task.trace = Some(trace);
        task.trace_seq = seq;
        let mut list = self.task(trace.tracer).tracees;
        self.push_front(Chain::Tracee, &mut list, slot);
        self.task_mut(trace.tracer).tracees = list;
    }

    pub fn untrace(&mut self, slot: Slot) {
        if let Some(trace) = self.task_mut(slot).trace.take() {
            let mut list = self.task(trace.tracer).tracees;
            self.unlink(Chain::Tracee, &mut list, slot);
            self.task_mut(trace.tracer).tracees = list;
        }
    }

    pub fn join_group(&mut self, slot: Slot) {
        let mut list = self.group(slot).threads;
        self.push_back(Chain::Thread, &mut list, slot);
        self.group_mut(slot).threads = list;
    }

    pub fn leave_group(&mut self, slot: Slot) {
        let mut list = self.group(slot).threads;
        self.unlink(Chain::Thread, &mut list, slot);
        self.group_mut(slot).threads = list;
    }
}
