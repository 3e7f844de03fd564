//! The host: all that its guests share, at one address in each of them, and whose turn it is.
//!
//! The kernel runs on one stack, which lies in the arena too. So it can be carried on in another process in the midst of
//! whatever it does: [`Process::enter`] puts the registers that a call keeps on that stack, wakes the other process and
//! sleeps; the other one takes them up from there. A look into a guest's memory therefore is a plain copy, and happens in
//! the guest itself; an exec or a fork returns into the same stack.
//!
//! Invariant: of all processes of a host, the one that [`Host::current`] names runs, and no other.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell, UnsafeCell};
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

use fated_kernel::id::Tid;
use fated_kernel::kernel::Kernel;
use linux_raw_sys::general::*;

use crate::cpuid::Cpuid;
use crate::frame::{Event, Frame};
use crate::guest::Inside;
use crate::memory::Heap;
use crate::wire::{ARENA, ARENA_SIZE, Control, FIXED_SIZE, HOST_SIZE, Plan, SHARED_SIZE, STACK_SIZE, TOLD_TO};
use crate::{gate, sys};

/// The end of the kernel's stack. Below its two megabytes lies the buffer, so that one day too deep a call hits what is rewritten
/// with every request and not the kernel's state.
pub const STACK_TOP: u64 = ARENA + SHARED_SIZE + STACK_SIZE;
/// Where the host stands.
const HOST: u64 = STACK_TOP;

/// Private stacks of one address space: a process sleeps on one, and takes signals on it.
pub const STACKS: usize = 16;
const PRIVATE_STACK: usize = 32 << 10;

#[repr(C, align(4096))]
struct Stacks(UnsafeCell<[[u8; PRIVATE_STACK]; STACKS]>);
// SAFETY: each stack is used by one process at a time.
unsafe impl Sync for Stacks {}
static PRIVATE: Stacks = Stacks(UnsafeCell::new([[0; PRIVATE_STACK]; STACKS]));
/// Which of them are taken. Linux clears a word when a process that shares the memory has really left it: not when it has
/// been told to end, for it does that on its stack.
static TAKEN: [AtomicU32; STACKS] = [const { AtomicU32::new(0) }; STACKS];

/// What a real process is told while it sleeps.
mod turn {
    pub const SLEEP: u32 = 0;
    pub const GO: u32 = 1;
    pub const END: u32 = 2;
}

/// What all guests of a host share. The heap comes first.
#[repr(C)]
pub struct Host {
    heap: UnsafeCell<Heap>,
    /// Where the kernel's stack pointer is kept while it changes processes.
    pub kernel_sp: UnsafeCell<u64>,
    /// Whose turn it is.
    pub current: Cell<Option<&'static Process>>,
    /// Which of its tasks has run last.
    pub task: Cell<Option<(&'static Inside, Tid)>>,
    /// The kernel, once there is one.
    pub kernel: RefCell<Option<Rc<Kernel>>>,
    /// What the task has stopped for.
    pub event: Cell<Event>,
    /// A frame as Linux makes it, to make others from.
    pub template: RefCell<Option<Box<Frame>>>,
    /// What `cpuid` answers.
    pub cpuid: Cpuid,
    /// Where each part of the extended state stands, and its size.
    pub components: [(usize, usize); 64],
    /// The auxiliary vector that Linux gave to the image that was started last.
    pub auxv: RefCell<Vec<[u64; 2]>>,
    /// The mappings of the vDSO in an image of the blob, in ascending order: address and size.
    pub vdso: RefCell<Vec<(u64, u64)>>,
    /// Lines of the log that the supervisor hasn't got yet.
    pub records: RefCell<Vec<u8>>,
    /// The run is over: nothing waits for an answer any more.
    pub over: Cell<bool>,
    /// The user knows that `cpuid` can't be hidden.
    pub said: Cell<bool>,
    /// What the supervisor wants to be run.
    pub plan: RefCell<Option<Plan>>,
}

/// The host. Valid once the arena is mapped and [`create`] has been called in one process.
pub fn host() -> &'static Host {
    // SAFETY: it is made before anything else happens, and never moved or dropped.
    unsafe { &*(HOST as *const Host) }
}

/// What is shared with the supervisor.
pub fn control() -> &'static Control {
    // SAFETY: the page is mapped as long as the process has an arena; all of it is atomic.
    unsafe { &*(ARENA as *const Control) }
}

/// The allocator's state.
pub fn heap() -> &'static mut Heap {
    // SAFETY: one process runs at a time, and the allocator doesn't call itself.
    unsafe { &mut *(&raw mut (*(HOST as *mut Host)).heap).cast::<Heap>() }
}

/// Whether the host has been made.
pub fn exists() -> bool {
    control().op.load(SeqCst) != 0
}

/// Makes the host.
pub fn create(cpus: u32) {
    const { assert!(size_of::<Host>() < HOST_SIZE as usize) };
    let heap = Heap::new((ARENA + FIXED_SIZE) as usize, (ARENA + ARENA_SIZE) as usize);
    // SAFETY: the arena is mapped, and nobody uses it yet. The heap comes first: what follows may allocate.
    unsafe { (HOST as *mut UnsafeCell<Heap>).write(UnsafeCell::new(heap)) };
    let at = HOST as *mut Host;
    let components = core::array::from_fn(|number| {
        let leaf = crate::cpuid::real(0xd, number as u32);
        (leaf.ebx as usize, leaf.eax as usize)
    });
    macro_rules! set {
        ($($field:ident: $value:expr,)*) => {
            // SAFETY: as above; each field is written once, without reading what was there.
            $(unsafe { (&raw mut (*at).$field).write($value) };)*
        };
    }
    set! {
        kernel_sp: UnsafeCell::new(0),
        current: Cell::new(None),
        task: Cell::new(None),
        kernel: RefCell::new(None),
        event: Cell::new(Event::default()),
        template: RefCell::new(None),
        cpuid: Cpuid::new(cpus),
        components: components,
        auxv: RefCell::new(Vec::new()),
        vdso: RefCell::new(Vec::new()),
        records: RefCell::new(Vec::new()),
        over: Cell::new(false),
        said: Cell::new(false),
        plan: RefCell::new(None),
    }
    control().op.store(u32::MAX, SeqCst);
}

/// The real side of a process.
pub struct Process {
    /// Its real id; 0 until it is known.
    pub real: Cell<u32>,
    turn: AtomicU32,
    /// It ends as soon as it gives its turn away.
    ending: Cell<bool>,
    /// Which private stack is its own.
    slot: Cell<usize>,
    /// It shares its parent's memory.
    shares: Cell<bool>,
    /// How many of its tasks may still run.
    pub tasks: Cell<u32>,
    /// The path of its program.
    pub exe: RefCell<Vec<u8>>,
    /// `/proc/self/auxv` as the guest was given it.
    pub auxv: RefCell<Vec<u8>>,
}

impl Process {
    /// The process that calls this for the first time, or after an exec: alone in its address space.
    pub fn first() -> &'static Process {
        let process = Process {
            real: Cell::new(sys::getpid()),
            turn: AtomicU32::new(turn::SLEEP),
            ending: Cell::new(false),
            slot: Cell::new(0),
            shares: Cell::new(false),
            tasks: Cell::new(1),
            exe: RefCell::default(),
            auxv: RefCell::default(),
        };
        // It is never given back: somebody may still look at its turn when it has long ended.
        Box::leak(Box::new(process))
    }

    /// A new process with one task, which shares the memory of this one or has a copy of it. `None`: too many share it.
    pub fn child(&self, shares: bool) -> Option<&'static Process> {
        let slot = if shares { free_stack()? } else { self.slot.get() };
        let process = Process {
            real: Cell::new(0),
            turn: AtomicU32::new(turn::SLEEP),
            ending: Cell::new(false),
            slot: Cell::new(slot),
            shares: Cell::new(shares),
            tasks: Cell::new(1),
            exe: RefCell::new(self.exe.borrow().clone()),
            auxv: RefCell::new(self.auxv.borrow().clone()),
        };
        Some(Box::leak(Box::new(process)))
    }

    /// It has a new, empty address space.
    pub fn moved_out(&self) {
        TAKEN[0].store(1, SeqCst);
        self.slot.set(0);
        self.shares.set(false);
    }

    /// Its private stack: lowest address and size.
    pub fn stack(&self) -> (u64, u64) {
        let base = &raw const PRIVATE as u64 + (self.slot.get() * PRIVATE_STACK) as u64;
        (base, PRIVATE_STACK as u64)
    }

    fn stack_top(&self) -> u64 {
        let (base, size) = self.stack();
        base + size
    }

    /// From here on, the kernel runs in this process.
    pub fn enter(&'static self) {
        let Some(me) = host().current.get() else { return };
        if core::ptr::eq(me, self) {
            return;
        }
        host().current.set(Some(self));
        // SAFETY: the private stack of this process is unused while it has the turn; `give_turn` never returns, the kernel
        // is taken up again by `wait_turn`.
        unsafe { gate::leave_kernel(host().kernel_sp.get(), me.stack_top(), give_turn, &raw const *me as u64) };
    }

    /// The real process ends: at once if it sleeps, else when it gives its turn away.
    pub fn end(&'static self) {
        if self.ending.replace(true) {
            return;
        }
        if !host().current.get().is_some_and(|current| core::ptr::eq(current, self)) {
            self.tell(turn::END);
        }
    }

    /// Whether it has been told to end.
    pub fn is_ending(&self) -> bool {
        self.ending.get()
    }

    fn tell(&self, what: u32) {
        self.turn.store(what, SeqCst);
        sys::futex_wake(&self.turn);
    }

    /// Makes the real process; it begins by waiting for its turn. `flags` are those of clone(2) that Linux shall see.
    pub fn start(&'static self, flags: u64) -> i64 {
        let flags = if self.shares.get() { flags | u64::from(CLONE_CHILD_CLEARTID) } else { flags };
        // The child's stack holds what `gate_clone` hands over: an argument and a function.
        let top = self.stack_top() - 64;
        // SAFETY: the stack is private memory that nobody uses now: the parent's own one serves signals and sleep only.
        unsafe {
            *(top as *mut u64) = &raw const *self as u64;
            *((top + 8) as *mut u64) = begin_child as extern "C" fn(u64) -> ! as usize as u64;
            gate::gate_clone(flags, top, TAKEN[self.slot.get()].as_ptr())
        }
    }
}

/// Takes a private stack in the memory of the process that runs. Those that have been told to end are waited for.
fn free_stack() -> Option<usize> {
    const PATIENCE: u32 = 1000;
    for _ in 0..PATIENCE {
        let free = TAKEN.iter().position(|taken| taken.load(SeqCst) == 0);
        if let Some(slot) = free {
            TAKEN[slot].store(1, SeqCst);
            return Some(slot);
        }
        sys::call(__NR_sched_yield, [0; 6]);
    }
    None
}

extern "C" fn give_turn(me: u64) -> ! {
    // SAFETY: `enter` hands over a process, and those are never given back.
    let me: &'static Process = unsafe { &*(me as *const Process) };
    let ending = me.ending.get();
    if let Some(next) = host().current.get() {
        next.tell(turn::GO);
    }
    if ending {
        sys::exit_group(TOLD_TO);
    }
    wait_turn(me)
}

fn wait_turn(me: &'static Process) -> ! {
    loop {
        match me.turn.swap(turn::SLEEP, SeqCst) {
            // SAFETY: whoever gave the turn has left the kernel's registers there.
            turn::GO => unsafe { gate::resume_kernel(*host().kernel_sp.get()) },
            turn::END => sys::exit_group(TOLD_TO),
            _ => sys::futex_wait(&me.turn, turn::SLEEP),
        }
    }
}

extern "C" fn begin_child(me: u64) -> ! {
    // SAFETY: as in `give_turn`.
    let me: &'static Process = unsafe { &*(me as *const Process) };
    sys::die_with_parent();
    if !me.shares.get() {
        // A copy of the memory has none of the others in it.
        TAKEN
            .iter()
            .enumerate()
            .filter(|(slot, _)| *slot != me.slot.get())
            .for_each(|(_, taken)| taken.store(0, SeqCst));
    }
    me.take_signals();
    wait_turn(me)
}

impl Process {
    /// Tells Linux which stack signals are taken on.
    pub fn take_signals(&self) {
        let (base, size) = self.stack();
        let stack = [base, 0, size];
        sys::call(__NR_sigaltstack, [&raw const stack as u64, 0, 0, 0, 0, 0]);
    }
}
