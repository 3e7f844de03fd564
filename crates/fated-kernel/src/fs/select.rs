//! Waiting until one of several descriptors is ready, as poll(2) and select(2) do.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::eventpoll::Epoll;
use crate::fs::file::OpenFile;
use crate::fs::poll;
use crate::sched::Woken;
use crate::sched::wait_queue::WaitQueue;
use alloc::{rc::Rc, vec, vec::Vec};

/// The bits that always hold for a regular file.
const ALWAYS: u32 = poll::IN | poll::OUT | poll::RDNORM | poll::WRNORM;
/// Those that say that there is input.
const READS: u32 = poll::IN | poll::RDNORM;

/// What a descriptor is, as far as readiness goes.
#[derive(Clone, Debug)]
pub enum Behind {
    /// A negative number in poll(2), which is ignored.
    Nothing,
    /// It isn't open.
    Closed,
    /// It only names a file (`O_PATH`).
    Path,
    /// A file of the real Linux, which is always ready.
    Native,
    /// A file of the kernel's own.
    Open(Rc<OpenFile>),
}

impl Behind {
    /// What stands at `fd`, as poll(2) sees it.
    #[must_use]
    pub fn of(cx: &Cx, fd: i32) -> Behind {
        match cx.raw_file(fd) {
            _ if fd < 0 => Behind::Nothing,
            Some(open) if open.is_path() => Behind::Path,
            Some(open) if open.file.is_native() => Behind::Native,
            Some(open) => Behind::Open(open),
            None if cx.check_open(fd).is_ok() => Behind::Native,
            None => Behind::Closed,
        }
    }

    /// The bits of `wanted` that hold now, and those that are always reported: `POLLERR`, `POLLHUP`, `POLLNVAL`.
    #[must_use]
    pub fn ready(&self, wanted: u32) -> u32 {
        match self {
            Behind::Nothing => 0,
            Behind::Closed | Behind::Path => poll::NVAL,
            Behind::Native => ALWAYS & wanted,
            Behind::Open(open) => open.file.poll() & (wanted | poll::ERR | poll::HUP),
        }
    }
}

/// A descriptor and the bits that are wanted of it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The descriptor.
    pub behind: Behind,
    /// The bits of [`poll`].
    pub wanted: u32,
}

impl Asked {
    /// Asks for `wanted` of what stands at `fd`.
    #[must_use]
    pub fn of(cx: &Cx, fd: i32, wanted: u32) -> Asked {
        Asked { behind: Behind::of(cx, fd), wanted }
    }

    /// The caller goes on without waiting.
    fn ask(&self) {
        if let Behind::Open(open) = &self.behind
            && self.wanted & READS != 0
        {
            open.file.ask();
        }
    }

    /// What holds now, as [`Behind::ready`] says.
    #[must_use]
    pub fn ready(&self) -> u32 {
        self.behind.ready(self.wanted)
    }
}

/// Waits until one of them is ready. `false`: the time is over.
pub async fn wait(cx: &Cx, asked: &[Asked], deadline: Option<u64>) -> Result<bool, Errno> {
    let ready = || asked.iter().any(|asked| asked.ready() != 0);
    loop {
        if ready() {
            asked.iter().for_each(Asked::ask);
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
            Woken::Timeout => {
                asked.iter().for_each(Asked::ask);
                return Ok(ready());
            }
            Woken::Signal => return Err(Errno::EINTR),
        }
    }
}

/// What each of the three sets of select(2) stands for.
const SETS: [u32; 3] = [
    poll::RDNORM | poll::RDBAND | poll::IN | poll::HUP | poll::ERR | poll::NVAL,
    poll::WRBAND | poll::WRNORM | poll::OUT | poll::ERR | poll::NVAL,
    poll::PRI | poll::NVAL,
];

/// Waits until a descriptor in one of the three sets of select(2) is ready. Returns how many bits are set in the sets of those that are
/// ready, and these sets.
pub async fn select_ready(
    cx: &Cx,
    count: usize,
    sets: &[Vec<u8>; 3],
    deadline: Option<u64>,
) -> Result<(u64, [Vec<u8>; 3]), Errno> {
    let has = |set: &[u8], fd: usize| set.get(fd / 8).is_some_and(|byte| byte >> (fd % 8) & 1 == 1);
    let mut asked = Vec::new();
    let mut numbers = Vec::new();
    for fd in 0..count {
        let wants = sets.iter().zip(SETS).filter(|(set, _)| has(set, fd)).fold(0, |all, (_, bits)| all | bits);
        if wants == 0 {
            continue;
        }
        let behind = Behind::of(cx, fd as i32);
        if matches!(behind, Behind::Closed) {
            return Err(Errno::EBADF);
        }
        numbers.push(fd);
        asked.push(Asked { behind, wanted: wants });
    }
    // Unlike poll(2), select(2) reports errors only in the sets that were given.
    wait(cx, &asked, deadline).await.map_err(|error| match error {
        Errno::EINTR => Errno::ERESTARTNOHAND,
        error => error,
    })?;
    let mut ready = 0;
    let mut results = [vec![0u8; sets[0].len()], vec![0u8; sets[1].len()], vec![0u8; sets[2].len()]];
    for (fd, asked) in numbers.into_iter().zip(&asked) {
        let now = asked.ready();
        for ((set, result), bits) in sets.iter().zip(&mut results).zip(SETS) {
            if has(set, fd)
                && now & bits != 0
                && let Some(byte) = result.get_mut(fd / 8)
            {
                *byte |= 1 << (fd % 8);
                ready += 1;
            }
        }
    }
    Ok((ready, results))
}
