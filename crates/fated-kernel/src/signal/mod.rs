//! Signals: sets, what a process does about them, what is pending. Delivery is in [`deliver`], the frame in [`frame`].

pub mod signalfd;
mod user;

pub mod deliver;
pub mod frame;
pub mod send;

use alloc::{collections::VecDeque, vec::Vec};
use core::cell::{Cell, RefCell};

/// The signals that the kernel itself speaks of (signal(7), x86).
#[expect(missing_docs, reason = "the names are Linux's own")]
pub mod nr {
    pub const HUP: i32 = 1;
    pub const INT: i32 = 2;
    pub const QUIT: i32 = 3;
    pub const ILL: i32 = 4;
    pub const TRAP: i32 = 5;
    pub const ABRT: i32 = 6;
    pub const BUS: i32 = 7;
    pub const FPE: i32 = 8;
    pub const KILL: i32 = 9;
    pub const SEGV: i32 = 11;
    pub const PIPE: i32 = 13;
    pub const ALRM: i32 = 14;
    pub const CHLD: i32 = 17;
    pub const CONT: i32 = 18;
    pub const STOP: i32 = 19;
    pub const TSTP: i32 = 20;
    pub const TTIN: i32 = 21;
    pub const TTOU: i32 = 22;
    pub const URG: i32 = 23;
    pub const XCPU: i32 = 24;
    pub const VTALRM: i32 = 26;
    pub const PROF: i32 = 27;
    pub const WINCH: i32 = 28;
    pub const SYS: i32 = 31;
}

/// A set of signals, bit `n - 1` for signal `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: SigSet = SigSet(0);
    /// What can't be blocked, caught or ignored.
    pub const UNBLOCKABLE: SigSet = SigSet::of(&[nr::KILL, nr::STOP]);
    /// The signals that stop a process by default.
    pub const STOPS: SigSet = SigSet::of(&[nr::STOP, nr::TSTP, nr::TTIN, nr::TTOU]);
    const IGNORED: SigSet = SigSet::of(&[nr::CHLD, nr::CONT, nr::URG, nr::WINCH]);
    const CORE: SigSet =
        SigSet::of(&[nr::QUIT, nr::ILL, nr::TRAP, nr::ABRT, nr::BUS, nr::FPE, nr::SEGV, nr::XCPU, 25, nr::SYS]);
    /// Signals that an instruction raises are taken before all others.
    const SYNCHRONOUS: SigSet = SigSet::of(&[nr::SEGV, nr::BUS, nr::ILL, nr::TRAP, nr::FPE, nr::SYS]);

    /// The set of `signals`.
    #[must_use]
    pub const fn of(signals: &[i32]) -> SigSet {
        let mut bits = 0;
        let mut i = 0;
        while i < signals.len() {
            bits |= 1 << (signals[i] - 1);
            i += 1;
        }
        SigSet(bits)
    }

    /// Whether `signal` is in it.
    #[must_use]
    pub fn has(self, signal: i32) -> bool {
        (1..=64).contains(&signal) && self.0 >> (signal - 1) & 1 == 1
    }

    /// With all of `other`.
    #[must_use]
    pub fn with(self, other: SigSet) -> SigSet {
        SigSet(self.0 | other.0)
    }

    /// Without any of `other`.
    #[must_use]
    pub fn without(self, other: SigSet) -> SigSet {
        SigSet(self.0 & !other.0)
    }

    /// What both have.
    #[must_use]
    pub fn and(self, other: SigSet) -> SigSet {
        SigSet(self.0 & other.0)
    }

    /// Whether it has no signal.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The signal that is taken first: synchronous ones, then the lowest number.
    #[must_use]
    pub fn first(self) -> Option<i32> {
        let urgent = self.and(SigSet::SYNCHRONOUS);
        let from = if urgent.is_empty() { self } else { urgent };
        (!from.is_empty()).then(|| from.0.trailing_zeros() as i32 + 1)
    }
}

/// A `siginfo_t`: 128 bytes, signal, errno and code in front and the rest as the kind of signal has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigInfo(pub [u8; 128]);

/// `si_code` of kill(2).
pub const SI_USER: i32 = 0;
/// `si_code` of tkill(2) and tgkill(2).
pub const SI_TKILL: i32 = -6;
/// `si_code` of the kernel's own signals.
pub const SI_KERNEL: i32 = 128;
/// `si_code` of POSIX timers.
pub const SI_TIMER: i32 = -2;

impl SigInfo {
    /// With the three fields that all kinds have.
    #[must_use]
    pub fn new(signal: i32, code: i32) -> SigInfo {
        let mut info = SigInfo([0; 128]);
        info.put_i32(0, signal);
        info.put_i32(8, code);
        info
    }

    /// From the user or process `pid`, `uid`.
    #[must_use]
    pub fn from_process(signal: i32, code: i32, pid: u32, uid: u32) -> SigInfo {
        let mut info = SigInfo::new(signal, code);
        info.put_i32(16, pid as i32);
        info.put_i32(20, uid as i32);
        info
    }

    /// Raised by an instruction at or on `addr`.
    #[must_use]
    pub fn fault(signal: i32, code: i32, addr: u64) -> SigInfo {
        let mut info = SigInfo::new(signal, code);
        info.put_u64(16, addr);
        info
    }

    /// `si_signo`.
    #[must_use]
    pub fn signal(&self) -> i32 {
        self.i32_at(0)
    }

    /// `si_code`.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.i32_at(8)
    }

    /// The 32 bits at `offset`, which is at most 124.
    #[must_use]
    pub fn i32_at(&self, offset: usize) -> i32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.0[offset..offset + 4]);
        i32::from_le_bytes(word)
    }

    /// Sets the 32 bits at `offset`.
    pub fn put_i32(&mut self, offset: usize, value: i32) {
        self.0[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Sets the 64 bits at `offset`.
    pub fn put_u64(&mut self, offset: usize, value: u64) {
        self.0[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }
}

/// What a process does about one signal: `struct kernel_sigaction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// 0 for the default, 1 to ignore, else the handler's address.
    pub handler: u64,
    /// `SA_*`.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Blocked while it runs.
    pub mask: SigSet,
}

/// Don't send `SIGCHLD` for stopped children.
pub const SA_NOCLDSTOP: u64 = 1;
/// Children reap themselves.
pub const SA_NOCLDWAIT: u64 = 2;
/// The handler takes three arguments.
pub const SA_SIGINFO: u64 = 4;
/// Run on the alternate stack.
pub const SA_ONSTACK: u64 = 0x0800_0000;
/// Restart interrupted calls.
pub const SA_RESTART: u64 = 0x1000_0000;
/// Don't block the signal itself.
pub const SA_NODEFER: u64 = 0x4000_0000;
/// Back to the default at the first delivery.
pub const SA_RESETHAND: u64 = 0x8000_0000;

/// What the default action of a signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing.
    Ignore,
    /// The process dies.
    Terminate,
    /// The process dies and would leave a core.
    Core,
    /// The process stops.
    Stop,
}

/// The default action of `signal`.
#[must_use]
pub fn default_action(signal: i32) -> Disposition {
    if SigSet::IGNORED.has(signal) {
        Disposition::Ignore
    } else if SigSet::STOPS.has(signal) {
        Disposition::Stop
    } else if SigSet::CORE.has(signal) {
        Disposition::Core
    } else {
        Disposition::Terminate
    }
}

/// The actions of a process, one for each signal.
#[derive(Clone, Debug)]
pub struct Actions([Action; 64]);

impl Default for Actions {
    fn default() -> Self {
        Actions([Action::default(); 64])
    }
}

impl Actions {
    /// The action for `signal` (1 to 64).
    #[must_use]
    pub fn get(&self, signal: i32) -> Action {
        self.0.get((signal - 1) as usize).copied().unwrap_or_default()
    }

    /// Sets the action for `signal` and returns the one before.
    pub fn set(&mut self, signal: i32, action: Action) -> Action {
        match self.0.get_mut((signal - 1) as usize) {
            Some(slot) => core::mem::replace(slot, action),
            None => Action::default(),
        }
    }

    /// Whether `signal` would be dropped when sent.
    #[must_use]
    pub fn ignores(&self, signal: i32) -> bool {
        let action = self.get(signal);
        action.handler == 1 || (action.handler == 0 && default_action(signal) == Disposition::Ignore)
    }

    /// As exec leaves them: handlers gone, ignored signals still ignored.
    pub fn reset_handlers(&mut self) {
        for action in &mut self.0 {
            let handler = if action.handler == 1 { 1 } else { 0 };
            *action = Action { handler, ..Action::default() };
        }
    }
}

/// How many signals of one kind can wait; more are dropped and the sender told (`RLIMIT_SIGPENDING` of Linux).
const QUEUE_LIMIT: usize = 4096;

/// Signals that have been sent and not yet taken.
#[derive(Debug, Default)]
pub struct Pending {
    set: Cell<SigSet>,
    queue: RefCell<VecDeque<SigInfo>>,
}

impl Pending {
    /// Which signals are pending.
    #[must_use]
    pub fn set(&self) -> SigSet {
        self.set.get()
    }

    /// Adds one; standard signals are kept once, real-time signals queue. `false` if the queue is full.
    pub fn add(&self, info: SigInfo) -> bool {
        let signal = info.signal();
        // Those of timers are made beforehand, one for each timer, and always queue.
        if signal < 32 && self.set().has(signal) && info.code() != SI_TIMER {
            return true;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= QUEUE_LIMIT {
            return false;
        }
        self.set.set(self.set().with(SigSet::of(&[signal])));
        queue.push_back(info);
        true
    }

    /// Takes the first signal out of `wanted`.
    pub fn take(&self, wanted: SigSet) -> Option<SigInfo> {
        let signal = self.set().and(wanted).first()?;
        let mut queue = self.queue.borrow_mut();
        let at = queue.iter().position(|info| info.signal() == signal)?;
        let info = queue.remove(at)?;
        if !queue.iter().any(|info| info.signal() == signal) {
            self.set.set(self.set().without(SigSet::of(&[signal])));
        }
        Some(info)
    }

    /// Drops all of `signals`.
    pub fn remove(&self, signals: SigSet) {
        if !self.set().and(signals).is_empty() {
            self.queue.borrow_mut().retain(|info| !signals.has(info.signal()));
            self.set.set(self.set().without(signals));
        }
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<SigInfo> {
        self.queue.borrow().iter().copied().collect()
    }
}
