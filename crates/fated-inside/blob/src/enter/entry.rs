//! Where guest code enters the kernel: by rewritten call sites, and by signals of the real Linux. The first calls of
//! each site come as `SIGSYS`.
//!
//! Invariant: when the kernel returns to a guest, the process of the task that it chose runs.

use alloc::format;
use alloc::rc::Rc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use fated_engine::cpuid::Cpuid;
use fated_engine::notice::Notice;
use fated_engine::sensitive::{Answers, Sensitive};
use fated_kernel::arch::{Call, Fault, Regs};
use fated_kernel::host::{Ending, Kernel, Next};
use fated_kernel::ports::{Cpu, Stop};
use linux_raw_sys::general::*;

use crate::arena::{control, part};
use crate::enter::crossing::Crossing;
use crate::enter::crossing::{self, Leave};
use crate::enter::frame::template;
use crate::enter::frame::{self, Event, Frame};
use crate::enter::gate;
use crate::enter::turn::turn;
use crate::enter::{clock, cpuid};
use crate::process::task;
use crate::process::task::GuestTask;
use crate::protocol::end::End;
use crate::protocol::layout::{ARENA, ARENA_SIZE};
use crate::rewrite::{call_sites, prepared, sensitive};
use crate::settings::settings;
use crate::supervisor::{self, finish};
use crate::sys;

const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGBUS: i32 = 7;
const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;
const SIGSYS: i32 = 31;
/// The code of a fault without an address.
const SI_KERNEL: i32 = 0x80;
/// `AUDIT_ARCH_X86_64`, and the bit of x32 calls.
const X86_64: u32 = 0xc000_003e;
const X32_BIT: u64 = 0x4000_0000;
/// Installs the handler for calls and faults.
pub fn handle_signals() {
    const FLAGS: u64 = 4 | 0x0400_0000 | 0x0800_0000 | 0x4000_0000;
    let action = [crossing::handler(), FLAGS, gate::gate_restorer as *const () as u64, 0];
    for signal in [SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP] {
        sys::call(__NR_rt_sigaction, [signal as u64, action.as_ptr() as u64, 0, 8, 0, 0]);
    }
}

/// The handler, on the signal stack.
#[unsafe(no_mangle)]
extern "C" fn on_signal(signal: i32, info: *const u8, uc: *mut u64) {
    if signal == SIGTRAP {
        // SAFETY: Linux hands over a `ucontext`.
        unsafe { cpuid::step_over(uc) };
    }
    // SAFETY: Linux hands over a `siginfo` and a `ucontext`.
    let (rip, code, addr, call) = unsafe {
        let rip = uc.add(frame::RIP);
        let call = (info.add(24).cast::<u32>().read(), info.add(28).cast::<u32>().read());
        (rip, info.add(8).cast::<i32>().read(), info.add(16).cast::<u64>().read(), call)
    };
    // SAFETY: as above.
    let at = unsafe { *rip };
    // A fault in the last instruction of the exit path is the guest's. Its registers are still in its context.
    let leaving = crossing::leaves_at(at);
    // A guest that single-steps has executed the last instruction of a call site.
    let stepped = signal == SIGTRAP && (crossing::enters_at(at) || clock::enters_at(at));
    // Codes up to 0 mean that a process has sent the signal. The kernel checks by itself whether the supervisor wants
    // something.
    if gate::holds(at) && code <= 0 {
        return;
    }
    if gate::holds(at) && !leaving && !stepped {
        let fixup = gate::fixup(at).or_else(|| clock::fixup(at));
        if let Some(fixup) = fixup.filter(|_| [SIGSEGV, SIGBUS].contains(&signal)) {
            // SAFETY: as above; the routine continues at its fixup.
            return unsafe { *rip = fixup };
        }
        if signal == SIGSYS {
            // SAFETY: this is the handler of `gate::trap`.
            template().replace(unsafe { Frame::of(uc) });
            return;
        }
        supervisor::fail(format_args!("signal {signal} at {at:#x}, address {addr:#x}"));
    }
    // SAFETY: this is a handler.
    if code == SI_KERNEL && unsafe { emulate_cpuid(signal, uc) } {
        return;
    }
    let Some((task, _)) = turn().task.get() else {
        finish(&End::Broken("a signal before the first task ran".into()));
    };
    if signal == SIGTRAP
        && let Some(copy) = call_sites::displaced(task, at)
    {
        // SAFETY: as above; no other register changes.
        return unsafe { *rip = copy };
    }
    // SAFETY: this is a handler.
    let (whole, regs, (trap, error)) = unsafe { (task.frame.borrow_mut().load(uc), frame::regs(uc), frame::trap(uc)) };
    if !whole {
        finish(&End::Broken(
            "this processor's extended state is larger than 4096 bytes; run with --engine ptrace".into(),
        ));
    }
    let event = Event { signal, code, addr, call, trap, error };
    // Its call is handled like one of a site that isn't rewritten.
    turn().event.set(if stepped { Event { signal: SIGSYS, call: (0, X86_64), ..event } } else { event });
    task.process.holds.set(core::ptr::null());
    let regs = if leaving {
        task.context.regs.get()
    } else if stepped {
        Regs { rip: regs.rcx, r11: regs.eflags, ..regs }
    } else {
        regs
    };
    if !leaving {
        task.context.called_at.set(0);
    }
    let (fs_base, gs_base) = task::bases();
    task.context.regs.set(Regs { fs_base, gs_base, ..regs });
    // SAFETY: the kernel's stack is unused while a guest runs.
    unsafe { crossing::run_kernel(on_event) }
}

extern "C" fn on_event() -> Leave {
    supervisor::check_marks();
    let event = turn().event.get();
    if event.signal == SIGSYS && event.code > 0 && event.call.1 == X86_64 {
        if settings().rewrite.get()
            && let Some((task, _)) = turn().task.get()
        {
            let regs = task.regs();
            prepared::count_call(&task.process.image.borrow().texts.borrow(), regs.rip, regs.rax);
            call_sites::count_call(task.process, task, regs.rip, regs.rax);
        }
        return call_by_signal();
    }
    go_to(take_event(event))
}

/// Handles a call that came as a signal.
fn call_by_signal() -> Leave {
    let Some((task, _)) = turn().task.get() else { return run() };
    let regs = task.context.regs.get();
    let leave = on_call(regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9);
    // This exit restores all registers, not only those that a call may change.
    if leave.context.is_null() { task.resume() } else { leave }
}

/// Handles a call through a rewritten site. The registers are in the context of the task that runs.
#[unsafe(no_mangle)]
extern "C" fn on_call(rdi: u64, rsi: u64, rdx: u64, r10: u64, r8: u64, r9: u64) -> Leave {
    match take_call([rdi, rsi, rdx, r10, r8, r9]) {
        Some(task) if task.is_live() => Leave::STRAIGHT,
        task => go_to(task),
    }
}

#[cold]
fn go_to(task: Option<&'static GuestTask>) -> Leave {
    task.map_or_else(run, GuestTask::resume)
}

/// Hands the kernel a call. Returns the task if it simply continues.
fn take_call(args: [u64; 6]) -> Option<&'static GuestTask> {
    count(&control().stops);
    let (task, _) = turn().task.get()?;
    let call = Call { number: task.begin_call(), args };
    if call.number & X32_BIT != 0 {
        foreign_call();
        supervisor::attend();
        return Some(task);
    }
    let cx = turn().cx.get()?;
    clock::settle(cx);
    let rax = cx.answer(call)?;
    // The call may have accessed other processes, in which case the kernel runs in the last of them.
    task.process.enter();
    task.set_result(rax);
    if call.number == u64::from(__NR_clock_gettime) {
        clock::offer(cx);
    }
    supervisor::attend();
    Some(task)
}

#[cold]
fn foreign_call() {
    supervisor::notice(Notice::ForeignCall);
}

/// Hands the kernel any other stop. Returns the task if it simply continues.
fn take_event(event: Event) -> Option<&'static GuestTask> {
    let (task, tid) = turn().task.get()?;
    let kernel = turn().kernel.get()?;
    // Codes up to 0 mean that a process has sent the signal. It came from outside and doesn't concern the guest.
    if event.code <= 0 {
        supervisor::end_if_given_up();
        return Some(task);
    }
    if event.signal == SIGSYS {
        task.begin_call();
        foreign_call();
        return Some(task);
    }
    count(&control().stops);
    if let Some(cx) = turn().cx.get() {
        clock::settle(cx);
    }
    if emulate(kernel, task, event.signal) {
        return (!kernel.stops_at_horizon()).then_some(task);
    }
    let Event { mut signal, mut code, addr, trap, error, .. } = event;
    // Beyond the end of the arena's file Linux raises SIGBUS. To a guest nothing is mapped there.
    if signal == SIGBUS && (ARENA..ARENA + ARENA_SIZE).contains(&addr) {
        const SEGV_MAPERR: i32 = 1;
        (signal, code) = (SIGSEGV, SEGV_MAPERR);
    }
    kernel.stopped(tid, Stop::Fault(Fault { signal, code, addr, trap, error }));
    None
}

/// Emulates `cpuid` if the guest stands at one, or behind the breakpoint that replaces one. Needs nothing but the table.
///
/// # Safety
/// `uc` is what a signal handler got.
unsafe fn emulate_cpuid(signal: i32, uc: *mut u64) -> bool {
    // SAFETY: the caller's promise.
    let word = |index| unsafe { &mut *uc.add(index) };
    let rip = word(frame::RIP);
    let Some((Sensitive::Cpuid, at, len)) = sensitive_at(signal, *rip) else { return false };
    // SAFETY: the caller's promise.
    unsafe { cpuid::answer(uc) };
    *rip = at + len as u64;
    count(&control().stops);
    count(&control().traps);
    true
}

/// The sensitive instruction that a task has stopped at, its address and its length.
fn sensitive_at(signal: i32, rip: u64) -> Option<(Sensitive, u64, usize)> {
    match signal {
        SIGSEGV => sensitive::that_faults(rip).map(|(instruction, len)| (instruction, rip, len)),
        SIGTRAP => sensitive::behind_breakpoint(rip),
        _ => None,
    }
}

/// Increments a counter. Only the process that runs writes.
fn count(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

/// Emulates any sensitive instruction that the task has stopped at.
fn emulate(kernel: &Rc<Kernel>, task: &GuestTask, signal: i32) -> bool {
    let mut regs = task.regs();
    let Some((instruction, at, len)) = sensitive_at(signal, regs.rip) else { return false };
    regs.rip = at;
    instruction.answer(&mut regs, len, &Emulated(kernel));
    task.set_regs(&regs);
    count(&control().traps);
    true
}

/// What emulated instructions get from the kernel.
struct Emulated<'a>(&'a Rc<Kernel>);

impl Answers for Emulated<'_> {
    fn cpuid(&self) -> &Cpuid {
        &settings().cpuid
    }

    fn timestamp(&self) -> u64 {
        self.0.timestamp_counter()
    }

    fn random(&self) -> u64 {
        self.0.instruction_random()
    }
}

/// Runs the task that the kernel chooses.
pub fn run() -> Leave {
    match decide() {
        Ok(task) => task.resume(),
        Err(end) => finish(&end),
    }
}

/// Asks the kernel for the next task. When this returns, the task's process runs. Its stack frame is gone by then, so
/// the kernel's stack is empty.
fn decide() -> Result<&'static GuestTask, End> {
    let Some(kernel) = turn().kernel.get() else { return Err(End::Broken("there is no kernel".into())) };
    loop {
        supervisor::attend();
        turn().cx.set(None);
        let horizon = supervisor::horizon();
        match kernel.run_until(horizon) {
            Next::Run(tid) => {
                let Some(cx) = kernel.turn() else {
                    return Err(End::Broken(format!(
                        "the kernel chose task {tid}, which doesn't exist; please report this"
                    )));
                };
                let task = task::of(&cx.task.guest);
                task.process.enter();
                control().task.store(tid.get(), Relaxed);
                part::<Crossing>().context.set(&raw const task.context);
                supervisor::check_marks();
                turn().task.set(Some((task, tid)));
                // SAFETY: the kernel is never dropped, and keeps this in place until it is asked for the next task.
                turn().cx.set(Some(unsafe { &*core::ptr::from_ref(&*cx) }));
                return Ok(task);
            }
            Next::AwaitConsole { streams } => supervisor::await_streams(&streams, false),
            Next::AwaitOutsider { streams } => supervisor::await_streams(&streams, true),
            Next::Idle { until } => supervisor::await_horizon(until, horizon),
            Next::Finished(ending) => {
                return Err(match ending {
                    Ending::Exited(status) => End::Exited(status),
                    Ending::Deadlock(tasks) => End::Deadlock(tasks),
                    Ending::Broken(why) => End::Broken(why),
                    Ending::LeftJournal(why) => End::LeftJournal(why),
                });
            }
        }
    }
}
