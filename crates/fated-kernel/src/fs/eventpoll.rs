//! Epoll instances (epoll(7)).
//!
//! Each interest is a [`Watcher`] in the queue of its file. When the queue is woken and the file is ready for the interest, the interest
//! is put on the ready list of the instance. A wait looks at that list only, so idle interests cost nothing.
//!
//! Invariant: an interest doesn't hold its file. When the last descriptor of the file is closed, the interest is gone.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::file::{ANON_INODE, File, OpenFile, anonymous_stat};
use crate::fs::inode::FileStat;
use crate::fs::poll;
use crate::ports::Awaited;
use crate::sched::Woken;
use crate::sched::wait_queue::{Entry, WaitQueue, Watcher};
use alloc::{
    collections::{BTreeMap, VecDeque},
    rc::{Rc, Weak},
    vec::Vec,
};
use core::any::Any;
use core::cell::{Cell, RefCell};
use linux_raw_sys::general as c;

/// Bits of an interest that say how events are delivered (`EPOLLET`, `EPOLLONESHOT`…), not which.
pub const PRIVATE: u32 = c::EPOLLWAKEUP | c::EPOLLONESHOT | c::EPOLLET | c::EPOLLEXCLUSIVE;
/// How deep instances may watch instances (`EP_MAX_NESTS`).
const MAX_NESTS: usize = 4;

/// A descriptor and the serial number of its open file, since a number can be reused for another file.
type Key = (i32, u64);

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll {
    me: Weak<Epoll>,
    interests: RefCell<BTreeMap<Key, Rc<Interest>>>,
    /// Those of them whose readiness may depend on a standard stream.
    on_streams: RefCell<BTreeMap<Key, Rc<Interest>>>,
    ready: RefCell<VecDeque<Rc<Interest>>>,
    /// The instances that watch this one, once for each interest.
    above: RefCell<Vec<Weak<Epoll>>>,
    queue: WaitQueue,
}

/// A file that is watched.
#[derive(Debug)]
struct Interest {
    key: Key,
    open: Weak<OpenFile>,
    epoll: Weak<Epoll>,
    events: Cell<u32>,
    data: Cell<u64>,
    /// It is on the ready list.
    listed: Cell<bool>,
    entry: RefCell<Option<Entry>>,
}

impl Interest {
    /// The wanted bits that hold now.
    fn bits(&self) -> u32 {
        let wanted = self.events.get() & !PRIVATE;
        if wanted == 0 {
            return 0;
        }
        self.open.upgrade().map_or(0, |open| open.file.poll() & wanted)
    }
}

impl Watcher for Interest {
    fn is_exclusive(&self) -> bool {
        self.events.get() & c::EPOLLEXCLUSIVE != 0
    }

    /// It is enough if somebody waits who wakes now, unless the file has come to an end: all have to learn that.
    fn fire(&self) -> bool {
        let Some(epoll) = self.epoll.upgrade() else { return false };
        let bits = self.bits();
        let enough = !epoll.queue.is_empty() && bits != 0 && bits & (poll::ERR | poll::HUP) == 0;
        epoll.look_at(self.key);
        enough
    }
}

impl Epoll {
    /// An instance without interests.
    #[must_use]
    pub fn new() -> Rc<Epoll> {
        Rc::new_cyclic(|me| Epoll {
            me: me.clone(),
            interests: RefCell::default(),
            on_streams: RefCell::default(),
            ready: RefCell::default(),
            above: RefCell::default(),
            queue: WaitQueue::default(),
        })
    }

    /// `EPOLL_CTL_ADD`.
    fn add(&self, cx: &Cx, fd: i32, open: &Rc<OpenFile>, events: u32, data: u64) -> Result<(), Errno> {
        let key = (fd, open.serial);
        if self.interests.borrow().contains_key(&key) {
            return Err(Errno::EEXIST);
        }
        self.forget_closed(fd);
        let interest = Rc::new(Interest {
            key,
            open: Rc::downgrade(open),
            epoll: self.me.clone(),
            events: Cell::new(events | poll::ERR | poll::HUP),
            data: Cell::new(data),
            listed: Cell::new(false),
            entry: RefCell::new(None),
        });
        let weak: Weak<Interest> = Rc::downgrade(&interest);
        let queue = open.watched_queue(cx).ok_or(Errno::EPERM)?;
        *interest.entry.borrow_mut() = Some(queue.add_watcher(weak));
        let inner = open.downcast::<Epoll>();
        if let Some(inner) = inner {
            inner.above.borrow_mut().push(self.me.clone());
        }
        if inner.is_some() || open.file.stream().is_some() {
            self.on_streams.borrow_mut().insert(key, interest.clone());
        }
        self.interests.borrow_mut().insert(key, interest);
        self.look_at(key);
        Ok(())
    }

    /// `EPOLL_CTL_MOD`.
    fn modify(&self, fd: i32, open: &OpenFile, events: u32, data: u64) -> Result<(), Errno> {
        let key = (fd, open.serial);
        let interest = self.interests.borrow().get(&key).cloned().ok_or(Errno::ENOENT)?;
        if (interest.events.get() | events) & c::EPOLLEXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        interest.events.set(events | poll::ERR | poll::HUP);
        interest.data.set(data);
        self.look_at(key);
        Ok(())
    }

    /// `EPOLL_CTL_DEL`.
    fn delete(&self, fd: i32, open: &OpenFile) -> Result<(), Errno> {
        let key = (fd, open.serial);
        if !self.interests.borrow().contains_key(&key) {
            return Err(Errno::ENOENT);
        }
        self.remove(key);
        Ok(())
    }

    fn remove(&self, key: Key) {
        self.on_streams.borrow_mut().remove(&key);
        let Some(interest) = self.interests.borrow_mut().remove(&key) else { return };
        if interest.listed.get() {
            self.ready.borrow_mut().retain(|other| !Rc::ptr_eq(other, &interest));
        }
        let open = interest.open.upgrade();
        if let Some(inner) = open.as_ref().and_then(|open| open.downcast::<Epoll>()) {
            let mut above = inner.above.borrow_mut();
            if let Some(at) = above.iter().position(|other| Weak::ptr_eq(other, &self.me)) {
                above.swap_remove(at);
            }
        }
    }

    /// Removes interests in files that were open at this number and have been closed.
    fn forget_closed(&self, fd: i32) {
        let closed: Vec<Key> = {
            let interests = self.interests.borrow();
            let same = interests.range((fd, 0)..=(fd, u64::MAX));
            same.filter(|(_, interest)| interest.open.strong_count() == 0).map(|(&key, _)| key).collect()
        };
        closed.into_iter().for_each(|key| self.remove(key));
    }

    /// Puts an interest on the ready list if its file is ready for it.
    fn look_at(&self, key: Key) {
        let Some(interest) = self.interests.borrow().get(&key).cloned() else { return };
        if interest.bits() == 0 {
            return;
        }
        if !interest.listed.replace(true) {
            self.ready.borrow_mut().push_back(interest);
        }
        self.queue.wake();
    }

    /// Hands out up to `max` events, the longest ready first; `give` gets the place, the bits and the data of each. Interests that stay
    /// ready go to the end of the list, so that none starves.
    fn collect(&self, max: usize, give: impl Fn(usize, u32, u64) -> Result<(), Errno>) -> Result<usize, Errno> {
        let mut count = 0;
        let listed = self.ready.borrow().len();
        for _ in 0..listed {
            if count >= max {
                break;
            }
            let Some(interest) = self.ready.borrow_mut().pop_front() else { break };
            interest.listed.set(false);
            let bits = interest.bits();
            if bits == 0 {
                if interest.open.strong_count() == 0 {
                    self.remove(interest.key);
                }
                continue;
            }
            if let Err(error) = give(count, bits, interest.data.get()) {
                interest.listed.set(true);
                self.ready.borrow_mut().push_front(interest);
                return if count == 0 { Err(error) } else { Ok(count) };
            }
            count += 1;
            let events = interest.events.get();
            if events & c::EPOLLONESHOT != 0 {
                interest.events.set(events & PRIVATE);
            } else if events & c::EPOLLET == 0 {
                interest.listed.set(true);
                self.ready.borrow_mut().push_back(interest);
            }
        }
        Ok(count)
    }

    /// Waits for events, and hands out up to `max` of them: `give` gets the place, the bits and the data of each. 0: the time is over.
    pub async fn wait(
        &self,
        cx: &Cx,
        max: usize,
        deadline: Option<u64>,
        give: impl Fn(usize, u32, u64) -> Result<(), Errno>,
    ) -> Result<usize, Errno> {
        loop {
            let count = self.collect(max, &give)?;
            if count > 0 {
                cx.kernel.ask_for_input(&self.streams());
                return Ok(count);
            }
            let _awaiting = cx.await_streams(self.streams().into_iter());
            match cx.sleep(&[&self.queue], deadline).await {
                Woken::Event => {}
                Woken::Timeout => {
                    cx.kernel.ask_for_input(&self.streams());
                    return Ok(0);
                }
                Woken::Signal => return Err(Errno::EINTR),
            }
        }
    }

    /// The standard streams that a wait for this instance depends on, each with the bits that are wanted.
    #[must_use]
    pub fn streams(&self) -> Vec<Awaited> {
        let mut streams = Vec::new();
        self.add_streams(&mut streams, 0);
        streams
    }

    fn add_streams(&self, streams: &mut Vec<Awaited>, depth: usize) {
        for interest in self.on_streams.borrow().values() {
            let Some(open) = interest.open.upgrade() else { continue };
            let events = interest.events.get() & !PRIVATE;
            if let Some(stream) = open.outside(events) {
                if events != 0 {
                    streams.push(stream);
                }
            } else if let Some(inner) = open.downcast::<Epoll>()
                && depth < MAX_NESTS
            {
                inner.add_streams(streams, depth + 1);
            }
        }
    }

    /// Checks that watching `inner` makes neither a circle nor too deep a nest.
    fn check_nesting(&self, inner: &Epoll) -> Result<(), Errno> {
        let below = inner.depth_without(self).ok_or(Errno::ELOOP)?;
        if below + self.height() > MAX_NESTS + 1 { Err(Errno::ELOOP) } else { Ok(()) }
    }

    /// How many instances are below each other from here on; `None` if `other` is among them.
    fn depth_without(&self, other: &Epoll) -> Option<usize> {
        if core::ptr::eq(self, other) {
            return None;
        }
        let mut deepest = 0;
        for interest in self.on_streams.borrow().values() {
            let Some(open) = interest.open.upgrade() else { continue };
            if let Some(inner) = open.downcast::<Epoll>() {
                deepest = deepest.max(inner.depth_without(other)?);
            }
        }
        Some(deepest + 1)
    }

    /// How many instances are above each other from here on.
    fn height(&self) -> usize {
        self.above.borrow().iter().filter_map(Weak::upgrade).map(|above| above.height()).max().unwrap_or(0) + 1
    }
}

/// epoll_ctl(2): changes what the instance at `epfd` watches of `fd`.
pub fn control(cx: &Cx, epfd: i32, operation: u32, fd: i32, events: u32, data: u64) -> Result<(), Errno> {
    /// What an exclusive interest may have.
    const EXCLUSIVE: u32 =
        poll::IN | poll::OUT | poll::ERR | poll::HUP | c::EPOLLWAKEUP | c::EPOLLET | c::EPOLLEXCLUSIVE;
    let outer = cx.file_or(epfd, Errno::EINVAL)?;
    let open = cx.file_or(fd, Errno::EPERM)?;
    if open.watched_queue(cx).is_none() {
        return Err(Errno::EPERM);
    }
    let epoll = outer.downcast::<Epoll>().ok_or(Errno::EINVAL)?;
    if Rc::ptr_eq(&outer, &open) {
        return Err(Errno::EINVAL);
    }
    let inner = open.downcast::<Epoll>();
    if operation != c::EPOLL_CTL_DEL && events & c::EPOLLEXCLUSIVE != 0 {
        let bad = operation == c::EPOLL_CTL_MOD || inner.is_some() || events & !EXCLUSIVE != 0;
        if bad {
            return Err(Errno::EINVAL);
        }
    }
    match operation {
        c::EPOLL_CTL_ADD => {
            if let Some(inner) = inner {
                epoll.check_nesting(inner)?;
            }
            epoll.add(cx, fd, &open, events, data)
        }
        c::EPOLL_CTL_MOD => epoll.modify(fd, &open, events, data),
        c::EPOLL_CTL_DEL => epoll.delete(fd, &open),
        _ => Err(Errno::EINVAL),
    }
}

impl File for Epoll {
    fn poll(&self) -> u32 {
        let listed: Vec<_> = self.ready.borrow().iter().cloned().collect();
        for interest in listed {
            if interest.bits() != 0 {
                return poll::IN | poll::RDNORM;
            }
        }
        0
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn stat(&self, cx: &Cx) -> Result<FileStat, Errno> {
        Ok(anonymous_stat(0o600, ANON_INODE, cx.kernel.config.epoch_ns))
    }

    /// There is no position; any is accepted (`noop_llseek`).
    fn seek(&self, _cx: &Cx, _offset: i64, _whence: u32) -> Result<u64, Errno> {
        Ok(0)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[eventpoll]".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
