//! The host: all that its guests share, at one address in each of them, and whose turn it is.
//!
//! The kernel runs on one stack, which lies in the arena too. So it can be carried on in another process in the midst of
//! whatever it does ([`Process::enter`]). A look into a guest's memory therefore is a plain copy, and happens in the guest
//! itself; an exec or a fork returns into the same stack.
//!
//! Invariant: of all processes of a host, the one that [`Host::current`] names runs, and no other.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use core::sync::atomic::Ordering::SeqCst;

use fated_engine::cpuid::Cpuid;
use fated_engine::notice::Notices;
use fated_engine::vdso;
use fated_kernel::cx::Cx;
use fated_kernel::host::Kernel;
use fated_kernel::id::Tid;

use crate::enter::clock::Readings;
use crate::enter::crossing::Context;
use crate::enter::frame::{Event, Frame};
use crate::enter::guard;
use crate::memory::heap::Heap;
use crate::memory::huge::Huge;
use crate::process::Process;
use crate::process::task::Inside;
use crate::process::yielding::Yielding;
use crate::protocol::control::Control;
use crate::protocol::layout::{ARENA, ARENA_SIZE, BLOCK_SIZE, CONTROL_AT, HEAP_AT, HOST_AT, STACK_SIZE};
use crate::protocol::plan::Plan;
use crate::rewrite::cpuid::Known;

/// The end of the kernel's stack.
pub const STACK_TOP: u64 = ARENA + STACK_SIZE;
/// Where the host stands.
pub const HOST: u64 = ARENA + HOST_AT;

/// What all guests of a host share.
#[repr(C)]
pub struct Host {
    /// The registers of the task that has run last; `crossing` knows that they come first.
    pub context: Cell<*const Context>,
    /// What it reads of the clock by itself; `clock` knows where this stands.
    pub readings: Readings,
    /// Where `crossing` and `clock` put what they find no register for, while nothing else of the kernel runs.
    pub scratch: [Cell<u64>; 2],
    /// The arena has a protection key; `crossing` knows where this stands.
    pub keyed: Cell<bool>,
    heap: UnsafeCell<Heap>,
    /// Where the kernel's stack pointer is kept while it changes processes.
    pub kernel_sp: UnsafeCell<u64>,
    /// Whose turn it is.
    pub current: Cell<Option<&'static Process>>,
    /// The process that was made last; each knows the one before it.
    pub newest: Cell<Option<&'static Process>>,
    /// Processes that no task refers to. They can be used again as soon as Linux's side is gone.
    pub spare: RefCell<VecDeque<&'static Process>>,
    /// Which of its tasks has run last.
    pub task: Cell<Option<(&'static Inside, Tid)>>,
    /// That task as the kernel sees it, while it has the turn.
    pub turn: Cell<Option<&'static Cx>>,
    /// The kernel, once there is one.
    pub kernel: OnceCell<Rc<Kernel>>,
    /// What the task has stopped for.
    pub event: Cell<Event>,
    /// A frame as Linux makes it, to make others from.
    pub template: RefCell<Option<Box<Frame>>>,
    /// What `cpuid` answers.
    pub cpuid: Cpuid,
    /// Where it has been executed.
    pub sites: RefCell<Vec<Known>>,
    /// The auxiliary vector that Linux gave to the image that was started last.
    pub auxv: RefCell<Vec<[u64; 2]>>,
    /// Where Linux maps its vDSO in an image of the blob.
    pub vdso: Cell<Option<vdso::Real>>,
    /// The inode of the file that fated's is mapped from; 0 if it isn't there yet.
    pub vdso_inode: Cell<u64>,
    /// Lines of the log that the supervisor hasn't got yet.
    pub records: RefCell<Vec<u8>>,
    /// Lines of the journal that it hasn't got yet.
    pub journal: RefCell<Vec<u8>>,
    /// The run is over: nothing waits for an answer any more.
    pub over: Cell<bool>,
    /// That the engine has failed is being told.
    pub broken: Cell<u64>,
    /// What the user knows.
    pub notices: Notices,
    /// A guest has locked a file. From then on, processes give up their files before anybody else runs.
    pub locks: Cell<bool>,
    /// How turns are given away.
    pub yielding: Yielding,
    /// Whether there are huge pages.
    pub huge: Huge,
    /// Call sites are rewritten.
    pub rewrite: Cell<bool>,
    /// `cpuid` is made to fault.
    pub cpuid_faulting: Cell<bool>,
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
    unsafe { &*((ARENA + CONTROL_AT) as *const Control) }
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
    const { assert!(size_of::<Host>() < (HEAP_AT - HOST_AT) as usize / 2) };
    guard::set_marks();
    let heap = Heap::new([HEAP_AT, BLOCK_SIZE, ARENA_SIZE].map(|at| (ARENA + at) as usize));
    let at = HOST as *mut Host;
    // SAFETY: the arena is mapped, and nobody uses it yet. The heap comes before what may allocate.
    unsafe { (&raw mut (*at).heap).write(UnsafeCell::new(heap)) };
    macro_rules! set {
        ($($field:ident: $value:expr,)*) => {
            // SAFETY: as above; each field is written once, without reading what was there.
            $(unsafe { (&raw mut (*at).$field).write($value) };)*
        };
    }
    set! {
        context: Cell::new(core::ptr::null()),
        readings: Readings::default(),
        scratch: [const { Cell::new(0) }; 2],
        keyed: Cell::new(false),
        kernel_sp: UnsafeCell::new(0),
        current: Cell::new(None),
        newest: Cell::new(None),
        spare: RefCell::new(VecDeque::new()),
        task: Cell::new(None),
        turn: Cell::new(None),
        kernel: OnceCell::new(),
        event: Cell::new(Event::default()),
        template: RefCell::new(None),
        cpuid: Cpuid::new(cpus),
        sites: RefCell::new(Vec::new()),
        auxv: RefCell::new(Vec::new()),
        vdso: Cell::new(None),
        vdso_inode: Cell::new(0),
        records: RefCell::new(Vec::new()),
        journal: RefCell::new(Vec::new()),
        over: Cell::new(false),
        broken: Cell::new(0),
        notices: Notices::default(),
        locks: Cell::new(false),
        yielding: Yielding::default(),
        huge: Huge::default(),
        rewrite: Cell::new(true),
        cpuid_faulting: Cell::new(true),
        plan: RefCell::new(None),
    }
    control().op.store(u32::MAX, SeqCst);
}
