//! The real side of a process: whose turn it is, how it begins, sleeps and ends.
//!
//! [`Process::enter`] puts the registers that a call keeps on the kernel's stack, wakes the other process and sleeps; the
//! other one takes them up from there.
//!
//! Linux reaps guests by itself, since the parent of all ignores `SIGCHLD`: so an exit costs the same however many there are.
//! A process that ends untold wakes the parent, because its robust list has the word that the parent sleeps on as a pending
//! entry (`futex_exit_release` in Linux's `kernel/futex/core.c`); one that is told to end takes it away before.
//!
//! Invariants: a [`Process`] is never given back, as its real process reads it until the last moment and the parent whenever
//! it likes; it is used again when the former is gone and no task refers to it. After [`turn::GONE`] its process doesn't
//! touch it.

pub mod descriptors;
pub mod files;
pub mod image;
pub mod proc;
pub mod task;
pub mod yielding;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell, UnsafeCell};
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use linux_raw_sys::general::*;

use crate::arena::{self, Part, control, part};
use crate::enter::crossing;
use crate::enter::filter;
use crate::enter::gate;
use crate::memory::keys;
use crate::process::descriptors::Descriptors;
use crate::process::image::Image;
use crate::process::yielding::Yielding;
use crate::protocol::control::Control;
use crate::protocol::layout::{ARENA, ARENA_FD, BLOB_FD, CONTROL_AT, SIGNALS_SIZE, TEXT_FD, TOLD_TO};
use crate::rewrite::sites::Known;
use crate::sys;

/// What a process sleeps and begins on: a real call of its own is as deep as it gets. With it a [`Process`] is half a page.
const STACK: usize = 1536;

#[repr(C, align(64))]
struct Stack(UnsafeCell<[u8; STACK]>);

/// What Linux looks at when a process ends: `struct robust_list_head` with an empty ring, no offset, and a pending entry.
#[repr(C)]
struct Watch(*const Watch, u64, u64);
// SAFETY: nobody writes to it.
unsafe impl Sync for Watch {}
static WATCH: Watch = Watch(&raw const WATCH, 0, ARENA + CONTROL_AT + offset_of!(Control, deaths) as u64);

/// How often others are let run while something is waited for that takes them no longer than a moment.
const PATIENCE: u32 = 1000;

/// What a real process is told while it sleeps; the last one is its own word, as is [`turn::GONE`].
mod turn {
    pub const SLEEP: u32 = 0;
    pub const GO: u32 = 1;
    pub const END: u32 = 2;
    pub const GONE: u32 = 3;
    /// It looks for its turn by itself, nobody need wake it.
    pub const AWAKE: u32 = 4;
}

/// What is known of all processes of a host.
#[derive(Default)]
pub struct Processes {
    /// Whose turn it is.
    current: Cell<Option<&'static Process>>,
    /// Where the kernel's stack pointer is kept while it changes processes.
    kernel_sp: UnsafeCell<u64>,
    /// The process that was made last; each knows the one before it.
    newest: Cell<Option<&'static Process>>,
    /// Processes that no task refers to. They can be used again as soon as Linux's side is gone.
    spare: RefCell<VecDeque<&'static Process>>,
    /// A guest has locked a file. From then on, processes give up their files before anybody else runs.
    pub locks: Cell<bool>,
    /// How turns are given away.
    yielding: Yielding,
}

// SAFETY: the place is its own.
unsafe impl Part for Processes {
    const AT: u64 = arena::at::PROCESSES;
}

#[inline]
pub fn processes() -> &'static Processes {
    part()
}

/// The process that has the turn, once there is one.
#[inline]
pub fn current() -> Option<&'static Process> {
    processes().current.get()
}

/// Where the kernel's stack pointer is kept while it changes processes.
pub fn kernel_sp() -> *mut u64 {
    processes().kernel_sp.get()
}

/// The engine's descriptors in the process that has the turn; before there is one, in the first.
#[inline]
pub fn own_descriptors() -> [i32; 3] {
    current().map_or([TEXT_FD, BLOB_FD, ARENA_FD], |process| process.descriptors.all())
}

/// Whether a descriptor is one of the engine's.
pub fn is_own(fd: u64) -> bool {
    let [first, .., last] = own_descriptors();
    (first..=last).contains(&(fd as i32))
}

/// The real side of a process.
pub struct Process {
    /// Its real id; 0 until it is known.
    pub real: AtomicU32,
    turn: AtomicU32,
    /// It ends as soon as it gives its turn away.
    ending: AtomicBool,
    /// The one that was made before it.
    older: Option<&'static Process>,
    /// The process that has made it. May have ended, and be another one by now.
    maker: Cell<Option<&'static Process>>,
    /// How many tasks refer to it.
    owners: Cell<u32>,
    /// What it sleeps on.
    stack: Stack,
    /// It shares its parent's memory.
    shares: Cell<bool>,
    /// The task whose extended state its real thread holds: an [`Inside`](task::Inside), of which nothing is needed here.
    pub holds: Cell<*const ()>,
    /// How many of its tasks may still run.
    pub tasks: Cell<u32>,
    /// Its descriptors that are the engine's.
    pub descriptors: Descriptors,
    /// How often its image has been forked.
    pub forks: Cell<u32>,
    /// Its program, which its forks have too.
    pub image: RefCell<Rc<Image>>,
    /// What is known of its address space.
    known: RefCell<Rc<Known>>,
}

impl Process {
    /// One that has no real process yet: one that is used no more, or a new one.
    fn unused() -> &'static Process {
        let host = processes();
        let is_gone = |it: &&'static Process| it.turn.load(SeqCst) == turn::GONE;
        let spare = host.spare.borrow().front().copied().filter(is_gone);
        if let Some(spare) = spare {
            host.spare.borrow_mut().pop_front();
            spare.real.store(0, SeqCst);
            spare.ending.store(false, SeqCst);
            spare.turn.store(turn::SLEEP, SeqCst);
            spare.holds.set(core::ptr::null());
            spare.tasks.set(1);
            spare.forks.set(0);
            return spare;
        }
        let process = Process {
            real: AtomicU32::new(0),
            turn: AtomicU32::new(turn::SLEEP),
            ending: AtomicBool::new(false),
            older: host.newest.get(),
            maker: Cell::new(None),
            owners: Cell::new(0),
            stack: Stack(UnsafeCell::new([0; STACK])),
            shares: Cell::new(false),
            holds: Cell::new(core::ptr::null()),
            tasks: Cell::new(1),
            descriptors: Descriptors::default(),
            forks: Cell::new(0),
            image: RefCell::default(),
            known: RefCell::default(),
        };
        let process = Box::leak(Box::new(process));
        host.newest.set(Some(process));
        process
    }

    /// The process that calls this: the first one, alone in its address space.
    pub fn first() -> &'static Process {
        let process = Process::unused();
        process.real.store(sys::getpid(), SeqCst);
        watch();
        process
    }

    /// A new process with one task, which shares the memory and the descriptors of this one or has copies of them.
    pub fn child(&'static self, shares: bool, shares_files: bool) -> &'static Process {
        let process = Process::unused();
        let known = self.known();
        process.known.replace(if shares { known } else { Rc::new((*known).clone()) });
        process.shares.set(shares);
        process.maker.set(Some(self));
        process.descriptors.inherit(&self.descriptors, shares_files);
        process.image.borrow_mut().clone_from(&self.image.borrow());
        process
    }

    /// A task refers to it from now on.
    pub fn own(&self) {
        self.owners.set(self.owners.get() + 1);
    }

    /// A task is no more.
    pub fn disown(&'static self) {
        self.owners.set(self.owners.get() - 1);
        if self.owners.get() == 0 {
            processes().spare.borrow_mut().push_back(self);
        }
    }

    /// It has a new, empty address space.
    pub fn moved_out(&self) {
        self.known.take();
        self.image.take();
        self.shares.set(false);
        self.descriptors.unshare();
        self.forks.set(0);
        watch();
        take_signals();
    }

    /// What is known of its address space.
    pub fn known(&self) -> Rc<Known> {
        self.known.borrow().clone()
    }

    fn stack_top(&self) -> u64 {
        self.stack.0.get() as u64 + STACK as u64
    }

    /// From here on, the kernel runs in this process.
    #[inline]
    pub fn enter(&'static self) {
        if let Some(me) = processes().current.get()
            && !core::ptr::eq(me, self)
        {
            self.take_over(me);
        }
    }

    #[cold]
    fn take_over(&'static self, me: &'static Process) {
        self.has_turn();
        // SAFETY: the stack of a process is unused while it has the turn; `give_turn` never returns, the kernel
        // is taken up again by `wait_turn`.
        unsafe { gate::leave_kernel(kernel_sp(), me.stack_top(), give_turn, &raw const *me as u64) };
    }

    /// It is the one that runs.
    pub fn has_turn(&'static self) {
        processes().current.set(Some(self));
        control().running.store(self.real.load(SeqCst), SeqCst);
    }

    /// The real process ends: at once if it sleeps, else when it gives its turn away. `blocks`: how many the
    /// arena has.
    pub fn end(&'static self, blocks: usize) {
        if self.ending.swap(true, SeqCst) {
            return;
        }
        if processes().current.get().is_some_and(|current| core::ptr::eq(current, self)) {
            self.hand_on(blocks);
        } else {
            self.tell(turn::END);
            // The next one on this CPU may ask for a lock that it holds.
            for _ in 0..PATIENCE {
                if !processes().locks.get() || self.turn.load(SeqCst) == turn::GONE {
                    break;
                }
                sys::call(__NR_sched_yield, [0; 6]);
            }
        }
    }

    /// Lets the kernel go on in the process that has made it, if that waits. What there is still to do for a process that ends
    /// looks at much of the arena, each huge page of which Linux would have to show to a young process first.
    fn hand_on(&self, blocks: usize) {
        const MANY: usize = 3;
        let waits = |it: &&'static Process| {
            let asleep = [turn::SLEEP, turn::AWAKE].contains(&it.turn.load(SeqCst));
            asleep && it.real.load(SeqCst) != 0 && !it.is_ending() && !core::ptr::eq(*it, self)
        };
        if let Some(maker) = self.maker.get().filter(waits).filter(|_| blocks > MANY) {
            maker.enter();
        }
    }

    /// Whether it has been told to end.
    pub fn is_ending(&self) -> bool {
        self.ending.load(SeqCst)
    }

    fn tell(&self, what: u32) {
        if self.turn.swap(what, SeqCst) != turn::AWAKE {
            sys::futex_wake(&self.turn);
        }
    }

    /// Makes the real process; it begins by waiting for its turn. `flags` are those of clone(2) that Linux shall see.
    pub fn start(&'static self, flags: u64) -> i64 {
        // The child's stack holds what `gate_clone` hands over: an argument and a function.
        let top = self.stack_top() - 64;
        self.turn.store(turn::AWAKE, SeqCst);
        // SAFETY: nobody else uses the stack: it is the child's, and whoever was the same process before has left it.
        let real = unsafe {
            *(top as *mut u64) = &raw const *self as u64;
            *((top + 8) as *mut u64) = begin_child as extern "C" fn(u64) -> ! as usize as u64;
            gate::gate_clone(flags, top)
        };
        match u32::try_from(real) {
            Ok(pid) => self.real.store(pid, SeqCst),
            Err(_) => {
                self.turn.store(turn::GONE, SeqCst);
                processes().spare.borrow_mut().push_back(self);
            }
        }
        real
    }

    /// Gives up the locks that it holds on files, unless a process with the same files goes on.
    fn unlock(&self) {
        const CLOSE_RANGE_UNSHARE: u64 = 2;
        if processes().locks.get() {
            sys::call(__NR_close_range, [0, u64::from(u32::MAX), CLOSE_RANGE_UNSHARE, 0, 0, 0]);
        }
    }

    /// It has given its turn away, or never had one, and nobody gives it another.
    fn leave(&self) -> ! {
        unwatch();
        // SAFETY: the word is this process's own.
        unsafe { gate::gate_leave(self.turn.as_ptr(), turn::GONE, TOLD_TO) }
    }
}

/// From here on the parent is woken when the process that calls this ends.
pub fn watch() {
    sys::call(__NR_set_robust_list, [&raw const WATCH as u64, size_of::<Watch>() as u64, 0, 0, 0, 0]);
}

/// From here on it may end.
pub fn unwatch() {
    sys::call(__NR_set_robust_list, [0, size_of::<Watch>() as u64, 0, 0, 0, 0]);
}

/// Tells Linux which stack signals are taken on.
fn take_signals() {
    let stack = [keys::signal_stack(crossing::is_keyed()), 0, SIGNALS_SIZE];
    sys::call(__NR_sigaltstack, [&raw const stack as u64, 0, 0, 0, 0, 0]);
}

/// The real id of a process that is gone though nobody has told it to end. Asked by the parent, while others run.
pub fn missing() -> Option<u32> {
    const ESRCH: i64 = -3;
    let mut next = processes().newest.get();
    while let Some(process) = next {
        let real = process.real.load(SeqCst);
        let gone = real != 0 && sys::call(__NR_kill, [u64::from(real), 0, 0, 0, 0, 0]) == ESRCH;
        // What is used for another one meanwhile has another id before it is no longer ending.
        if gone && !process.is_ending() && process.real.load(SeqCst) == real {
            return Some(real);
        }
        next = process.older;
    }
    None
}

extern "C" fn give_turn(me: u64) -> ! {
    // SAFETY: `enter` hands over a process, and those are never given back.
    let me: &'static Process = unsafe { &*(me as *const Process) };
    let ending = me.is_ending();
    if ending {
        me.unlock();
    }
    let watch = (!ending).then(|| processes().yielding.begin()).flatten();
    if watch.is_some() {
        me.turn.store(turn::AWAKE, SeqCst);
    }
    if let Some(next) = processes().current.get() {
        next.tell(turn::GO);
    }
    if ending {
        me.leave();
    }
    if let Some(watch) = watch {
        sys::call(__NR_sched_yield, [0; 6]);
        processes().yielding.end(watch, me.turn.load(SeqCst) != turn::AWAKE);
        let _ = me.turn.compare_exchange(turn::AWAKE, turn::SLEEP, SeqCst, SeqCst);
    }
    wait_turn(me)
}

fn wait_turn(me: &'static Process) -> ! {
    loop {
        match me.turn.swap(turn::SLEEP, SeqCst) {
            // SAFETY: whoever gave the turn has left the kernel's registers there.
            turn::GO => unsafe { gate::resume_kernel(*kernel_sp()) },
            turn::END => {
                me.unlock();
                me.leave()
            }
            _ => sys::futex_wait(&me.turn, turn::SLEEP),
        }
    }
}

extern "C" fn begin_child(me: u64) -> ! {
    // SAFETY: as in `give_turn`.
    let me: &'static Process = unsafe { &*(me as *const Process) };
    filter::arm();
    sys::die_with_parent();
    watch();
    if me.shares.get() {
        // As Linux has it, a fork alone inherits it.
        take_signals();
    }
    wait_turn(me)
}
