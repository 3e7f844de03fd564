//! Waiting until one of several descriptors is ready, as poll(2) and select(2) do.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::eventpoll::Epoll;
use crate::fs::file::OpenFile;
use crate::fs::poll;
use crate::sched::Woken;
use crate::sched::wait_queue::WaitQueue;
use alloc::{rc::Rc, vec::Vec};

/// What a regular file is always ready for.
const ALWAYS: u32 = poll::IN | poll::OUT | poll::RDNORM | poll::WRNORM;

/// What a descriptor is, as far as readiness goes.
#[derive(Clone, Debug)]
pub enum Behind {
    /// Nobody asks: a negative number in poll(2).
    Nothing,
    /// It isn't open.
    Closed,
    /// A file of the real Linux, which never makes anyone wait.
    Native,
    /// A file of the kernel's own.
    Open(Rc<OpenFile>),
}

impl Behind {
    /// What stands at `fd`, as poll(2) sees it.
    #[must_use]
    pub fn of(cx: &Cx, fd: i32) -> Behind {
        match cx.file(fd) {
            _ if fd < 0 => Behind::Nothing,
            Some(open) if open.file.is_native() => Behind::Native,
            Some(open) => Behind::Open(open),
            None if cx.check_open(fd).is_ok() => Behind::Native,
            None => Behind::Closed,
        }
    }

    /// What holds now of `wanted`, and of what is told unasked.
    #[must_use]
    pub fn ready(&self, wanted: u32) -> u32 {
        match self {
            Behind::Nothing => 0,
            Behind::Closed => poll::NVAL,
            Behind::Native => ALWAYS & wanted,
            Behind::Open(open) => open.file.poll() & (wanted | poll::ERR | poll::HUP),
        }
    }
}

/// A descriptor and what is wanted of it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The descriptor.
    pub behind: Behind,
    /// The bits of [`poll`].
    pub wanted: u32,
}

/// Waits until one of them is ready. `false`: the time is over.
pub async fn wait(cx: &Cx, asked: &[Asked], deadline: Option<u64>) -> Result<bool, Errno> {
    let ready = || asked.iter().any(|asked| asked.behind.ready(asked.wanted) != 0);
    loop {
        if ready() {
            return Ok(true);
        }
        let opens = asked.iter().filter_map(|asked| match &asked.behind {
            Behind::Open(open) => Some((open, asked.wanted)),
            _ => None,
        });
        let queues: Vec<&WaitQueue> = opens.clone().filter_map(|(open, _)| open.watched_queue(cx)).collect();
        let mut streams = Vec::new();
        for (open, wanted) in opens {
            streams.extend(open.outside(wanted));
            streams.extend(open.downcast::<Epoll>().map(Epoll::streams).unwrap_or_default());
        }
        let _outside = cx.await_streams(streams.into_iter());
        match cx.sleep(&queues, deadline).await {
            Woken::Event => {}
            Woken::Timeout => return Ok(ready()),
            Woken::Signal => return Err(Errno::EINTR),
        }
    }
}
