//! Real processes: how one starts, sleeps, gets its turn and exits.
//!
//! [`Process::enter`] moves the kernel to another process: it pushes the callee-saved registers on the kernel's
//! stack, wakes the other process and sleeps. The other process pops them and continues.
//!
//! Guests that exit are waited for by their id and many at a time ([`exits`]). So an exit costs the same however many
//! guests there are. A process that dies unexpectedly wakes the parent: its robust list has the futex word that the
//! parent sleeps on as its pending entry (`futex_exit_release` in Linux's `kernel/futex/core.c`). A process that
//! exits on request unregisters the list first.
//!
//! Invariants: a [`Process`] is never freed, because its real process reads it until the end and the parent reads it
//! at any time. It is reused when the real process is gone and no task refers to it. A real process doesn't touch its
//! [`Process`] after [`turn::GONE`].

pub mod descriptors;
pub mod exits;
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

use fated_kernel::errno::Errno;
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
use crate::protocol::layout::{ARENA, CONTROL_AT, REQUESTED_EXIT, SIGNALS_SIZE};
use crate::rewrite::sites::Known;
use crate::sys;

/// The stack on which a process starts and sleeps. It holds one real call at most. With it a [`Process`] takes half a
/// page.
const STACK: usize = 1536;

#[repr(C, align(64))]
struct Stack(UnsafeCell<[u8; STACK]>);

/// What Linux reads when a process exits: `struct robust_list_head` with an empty list, no offset, and a pending
/// entry.
#[repr(C)]
struct Watch(*const Watch, u64, u64);
// SAFETY: it is never written to.
unsafe impl Sync for Watch {}
static WATCH: Watch = Watch(&raw const WATCH, 0, ARENA + CONTROL_AT + offset_of!(Control, deaths) as u64);

/// How often to yield while waiting for something that takes other processes only a moment.
const PATIENCE: u32 = 1000;

/// States of a process's turn word. Others set [`turn::GO`] and [`turn::END`]; once the process runs, it sets the
/// rest itself.
mod turn {
    pub const SLEEP: u32 = 0;
    pub const GO: u32 = 1;
    pub const END: u32 = 2;
    pub const GONE: u32 = 3;
    /// The process polls for its turn, so it needs no wake-up.
    pub const AWAKE: u32 = 4;
}

/// The state that all processes of a host share.
#[derive(Default)]
pub struct Processes {
    /// The process that runs.
    current: Cell<Option<&'static Process>>,
    /// Where the kernel's stack pointer is kept while it changes processes.
    kernel_sp: UnsafeCell<u64>,
    /// The process that was created last. Each one links to the one before it.
    newest: Cell<Option<&'static Process>>,
    /// Processes without a task. One can be reused as soon as its real process is gone.
    spare: RefCell<VecDeque<&'static Process>>,
    /// A guest has locked a file. From then on, an exiting process closes its files before the next one runs.
    pub locks: Cell<bool>,
    /// When to yield at a hand-over.
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

/// The process that runs, if there is one yet.
#[inline]
pub fn current() -> Option<&'static Process> {
    processes().current.get()
}

/// Where the kernel's stack pointer is kept while it changes processes.
pub fn kernel_sp() -> *mut u64 {
    processes().kernel_sp.get()
}

/// The engine's descriptors in the process that runs; before there is one, those of the first process.
#[inline]
pub fn own_descriptors() -> [i32; 3] {
    current().map_or_else(|| Descriptors::at(first_place()).all(), |process| process.descriptors.all())
}

/// Where the first process has them.
fn first_place() -> usize {
    control().place.load(SeqCst) as usize
}

/// Whether a descriptor is one of the engine's.
pub fn is_own(fd: u64) -> bool {
    let [first, .., last] = own_descriptors();
    (first..=last).contains(&(fd as i32))
}

/// A real process.
pub struct Process {
    /// Its pid on the real Linux; 0 until it is known.
    pub real: AtomicU32,
    turn: AtomicU32,
    /// It exits when it gives up its turn.
    ending: AtomicBool,
    /// The process that was created before it.
    older: Option<&'static Process>,
    /// The process that forked it. It may have exited and been reused since.
    forker: Cell<Option<&'static Process>>,
    /// How many tasks refer to it.
    owners: Cell<u32>,
    /// The stack on which it sleeps.
    stack: Stack,
    /// It shares its parent's memory (`CLONE_VM`).
    shares: Cell<bool>,
    /// The task whose extended state is in the registers of its real thread: a [`GuestTask`](task::GuestTask). This module
    /// only clears it.
    pub holds: Cell<*const ()>,
    /// How many of its tasks may still run.
    pub tasks: Cell<u32>,
    /// Where it has the engine's descriptors.
    pub descriptors: Descriptors,
    /// How often its image has been forked.
    pub forks: Cell<u32>,
    /// Its program, which its forks share.
    pub image: RefCell<Rc<Image>>,
    /// What is known of its address space.
    known: RefCell<Rc<Known>>,
}

impl Process {
    /// A process without a real one: a reused entry, or a new one.
    fn unused() -> &'static Process {
        let all = processes();
        let is_gone = |it: &&'static Process| it.turn.load(SeqCst) == turn::GONE;
        let spare = all.spare.borrow().front().copied().filter(is_gone);
        if let Some(spare) = spare {
            all.spare.borrow_mut().pop_front();
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
            older: all.newest.get(),
            forker: Cell::new(None),
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
        all.newest.set(Some(process));
        process
    }

    /// The calling process as the first guest, alone in its address space.
    pub fn first() -> &'static Process {
        let process = Process::unused();
        process.real.store(sys::getpid(), SeqCst);
        process.descriptors.set_place(first_place());
        watch();
        process
    }

    /// A child with one task, which shares this process's memory and descriptors or has copies of them.
    pub fn child(&'static self, shares: bool, shares_files: bool) -> &'static Process {
        let process = Process::unused();
        let known = self.known();
        process.known.replace(if shares { known } else { Rc::new((*known).clone()) });
        process.shares.set(shares);
        process.forker.set(Some(self));
        process.descriptors.inherit(&self.descriptors, shares_files);
        process.image.borrow_mut().clone_from(&self.image.borrow());
        process
    }

    /// Counts a task that refers to it.
    pub fn own(&self) {
        self.owners.set(self.owners.get() + 1);
    }

    /// Drops a task's reference. Without references it can be reused.
    pub fn disown(&'static self) {
        self.owners.set(self.owners.get() - 1);
        if self.owners.get() == 0 {
            processes().spare.borrow_mut().push_back(self);
        }
    }

    /// Resets what belonged to the old address space, after an exec.
    pub fn reset_address_space(&self) {
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

    /// Moves the kernel to this process. When this returns, this process runs.
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

    /// Notes that this process runs.
    pub fn has_turn(&'static self) {
        processes().current.set(Some(self));
        control().running.store(self.real.load(SeqCst), SeqCst);
    }

    /// Ends the real process: at once if it sleeps, otherwise when it gives up its turn. `blocks` is how many blocks
    /// the arena has.
    pub fn end(&'static self, blocks: usize) {
        if self.ending.swap(true, SeqCst) {
            return;
        }
        exits::note(self.real.load(SeqCst));
        if processes().current.get().is_some_and(|current| core::ptr::eq(current, self)) {
            self.continue_in_forker(blocks);
        } else {
            self.tell(turn::END);
            // The next process on this CPU may want a file lock that it still holds.
            for _ in 0..PATIENCE {
                if !processes().locks.get() || self.turn.load(SeqCst) == turn::GONE {
                    break;
                }
                sys::call(__NR_sched_yield, [0; 6]);
            }
        }
    }

    /// Moves the kernel to the process that forked this one, if that one sleeps. The work that is left after an exit
    /// touches much of the arena, and Linux would first have to map each huge page of it into a young process.
    fn continue_in_forker(&self, blocks: usize) {
        const MANY: usize = 3;
        let waits = |it: &&'static Process| {
            let asleep = [turn::SLEEP, turn::AWAKE].contains(&it.turn.load(SeqCst));
            asleep && it.real.load(SeqCst) != 0 && !it.is_ending() && !core::ptr::eq(*it, self)
        };
        if let Some(forker) = self.forker.get().filter(waits).filter(|_| blocks > MANY) {
            forker.enter();
        }
    }

    /// Whether it exits on request.
    pub fn is_ending(&self) -> bool {
        self.ending.load(SeqCst)
    }

    fn tell(&self, what: u32) {
        if self.turn.swap(what, SeqCst) != turn::AWAKE {
            sys::futex_wake(&self.turn);
        }
    }

    /// Forks the real process, which first waits for its turn. `flags` are the flags of clone(2) that Linux gets.
    pub fn start(&'static self, flags: u64) -> i64 {
        // `gate_clone` pops an argument and a function from the child's stack.
        let top = self.stack_top() - 64;
        self.turn.store(turn::AWAKE, SeqCst);
        // SAFETY: nothing else uses the stack: it is the child's, and the previous real process has left it.
        let clone = || unsafe {
            *(top as *mut u64) = &raw const *self as u64;
            *((top + 8) as *mut u64) = begin_child as extern "C" fn(u64) -> ! as usize as u64;
            gate::gate_clone(flags, top)
        };
        let mut real = clone();
        // Those that nobody has waited for count, too.
        if Errno::of_return(real) == Some(Errno::EAGAIN) && exits::settle() {
            real = clone();
        }
        match u32::try_from(real) {
            Ok(pid) => self.real.store(pid, SeqCst),
            Err(_) => {
                self.turn.store(turn::GONE, SeqCst);
                processes().spare.borrow_mut().push_back(self);
            }
        }
        real
    }

    /// Releases its file locks, unless a process with the same files lives on.
    fn unlock(&self) {
        const CLOSE_RANGE_UNSHARE: u64 = 2;
        if processes().locks.get() {
            sys::call(__NR_close_range, [0, u64::from(u32::MAX), CLOSE_RANGE_UNSHARE, 0, 0, 0]);
        }
    }

    /// Exits. The process has given up its turn or never had it, and gets no other one.
    fn leave(&self) -> ! {
        unwatch();
        // SAFETY: the word is this process's own.
        unsafe { gate::gate_leave(self.turn.as_ptr(), turn::GONE, REQUESTED_EXIT) }
    }
}

/// Makes Linux kill the calling guest when the first process dies. A fork doesn't inherit this, nor does every exec.
pub fn die_with_first() {
    sys::die_with(control().first.load(SeqCst));
}

/// Makes Linux wake the parent when the calling process dies.
pub fn watch() {
    sys::call(__NR_set_robust_list, [&raw const WATCH as u64, size_of::<Watch>() as u64, 0, 0, 0, 0]);
}

/// Undoes [`watch`]: the process may exit now.
pub fn unwatch() {
    sys::call(__NR_set_robust_list, [0, size_of::<Watch>() as u64, 0, 0, 0, 0]);
}

/// Sets the stack for signal handlers.
fn take_signals() {
    let stack = [keys::signal_stack(crossing::is_keyed()), 0, SIGNALS_SIZE];
    sys::call(__NR_sigaltstack, [&raw const stack as u64, 0, 0, 0, 0, 0]);
}

/// The real pid of a process that died unexpectedly. The parent calls this while guests run.
pub fn dead_guest() -> Option<u32> {
    let mut next = processes().newest.get();
    while let Some(process) = next {
        let real = process.real.load(SeqCst);
        let gone = real != 0 && exits::has_exited(real);
        // A reused entry gets its new pid before it stops being marked as ending.
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
            // SAFETY: the process that gave up the turn has pushed the kernel's registers there.
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
    die_with_first();
    watch();
    if me.shares.get() {
        // Linux clears the signal stack of a child with `CLONE_VM`.
        take_signals();
    }
    wait_turn(me)
}
