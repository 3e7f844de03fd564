//! How guest code comes to the kernel: through rewritten call sites, and by signals of the real Linux, of which the first calls
//! of every site are one.

use alloc::format;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use fated_engine::notice::Notice;
use fated_kernel::arch::{Call, Fault, Regs};
use fated_kernel::host::{Ending, Kernel, Next};
use fated_kernel::ports::{Cpu, Memory, Stop};
use linux_raw_sys::general::*;

use crate::arena::{control, part};
use crate::enter::clock;
use crate::enter::crossing::Crossing;
use crate::enter::crossing::{self, Leave};
use crate::enter::frame::template;
use crate::enter::frame::{self, Event, Frame};
use crate::enter::gate;
use crate::enter::turn::turn;
use crate::process::task;
use crate::process::task::Inside;
use crate::protocol::end::End;
use crate::protocol::layout::{ARENA, ARENA_SIZE};
use crate::rewrite::call_sites;
use crate::rewrite::cpuid;
use crate::settings::settings;
use crate::supervisor::{self, finish};
use crate::sys;

const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGBUS: i32 = 7;
const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;
const SIGSYS: i32 = 31;
/// The code of a fault that tells of no address.
const SI_KERNEL: i32 = 0x80;
/// `AUDIT_ARCH_X86_64`, and the bit of x32 calls.
const X86_64: u32 = 0xc000_003e;
const X32_BIT: u64 = 0x4000_0000;
/// Tells Linux to bring calls and faults here.
pub fn handle_signals() {
    const FLAGS: u64 = 4 | 0x0400_0000 | 0x0800_0000 | 0x4000_0000;
    let action = [crossing::handler(on_signal), FLAGS, gate::gate_restorer as *const () as u64, 0];
    for signal in [SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP] {
        sys::call(__NR_rt_sigaction, [signal as u64, action.as_ptr() as u64, 0, 8, 0, 0]);
    }
}

/// On the stack for signals.
#[unsafe(no_mangle)]
extern "C" fn on_signal(signal: i32, info: *const u8, uc: *mut u64) {
    // SAFETY: Linux hands over a `siginfo` and a `ucontext`.
    let (rip, code, addr, call) = unsafe {
        let rip = uc.add(frame::RIP);
        let call = (info.add(24).cast::<u32>().read(), info.add(28).cast::<u32>().read());
        (rip, info.add(8).cast::<i32>().read(), info.add(16).cast::<u64>().read(), call)
    };
    // SAFETY: as above.
    let at = unsafe { *rip };
    // A fault on the way out is the guest's, whose registers then stand where they came from.
    let leaving = crossing::leaves_at(at);
    // A guest that traps behind each instruction has made the last one of a call site.
    let stepped = signal == SIGTRAP && (crossing::enters_at(at) || clock::enters_at(at));
    // Codes up to 0 are for signals that a process has sent: the kernel looks by itself for what is wanted.
    if gate::holds(at) && code <= 0 {
        return;
    }
    if gate::holds(at) && !leaving && !stepped {
        let mended = gate::mended(at).or_else(|| clock::mended(at));
        if let Some(mended) = mended.filter(|_| [SIGSEGV, SIGBUS].contains(&signal)) {
            // SAFETY: as above; the routine goes on behind what it tried.
            return unsafe { *rip = mended };
        }
        if signal == SIGSYS {
            // SAFETY: this is the handler of `gate::trap`.
            template().replace(unsafe { Frame::of(uc) });
            return;
        }
        supervisor::broken(format_args!("signal {signal} at {at:#x}, address {addr:#x}"));
    }
    // SAFETY: this is a handler.
    if code == SI_KERNEL && unsafe { answer_cpuid(signal, uc) } {
        return;
    }
    let Some((task, _)) = turn().task.get() else {
        finish(&End::Broken("a signal before the first task ran".into()));
    };
    if signal == SIGTRAP
        && let Some(copy) = call_sites::displaced(task, at)
    {
        // SAFETY: as above; all other registers stay.
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
    // Its call comes by signal, as if the site weren't rewritten.
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
    supervisor::check();
    let event = turn().event.get();
    if event.signal == SIGSYS && event.code > 0 && event.call.1 == X86_64 {
        if settings().rewrite.get()
            && let Some((task, _)) = turn().task.get()
        {
            let regs = task.regs();
            call_sites::noticed(task.process, task, regs.rip, regs.rax);
        }
        return call_by_signal();
    }
    go_to(take_event(event))
}

/// A call that has come as a signal.
fn call_by_signal() -> Leave {
    let Some((task, _)) = turn().task.get() else { return run() };
    let regs = task.context.regs.get();
    let leave = on_call(regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9);
    // Other registers than those of a jump are to be set.
    if leave.context.is_null() { task.resume() } else { leave }
}

/// A call through a rewritten site; the registers stand in the task that runs.
#[unsafe(no_mangle)]
extern "C" fn on_call(rdi: u64, rsi: u64, rdx: u64, r10: u64, r8: u64, r9: u64) -> Leave {
    match take_call([rdi, rsi, rdx, r10, r8, r9]) {
        Some(task) if task.is_live() => Leave::STRAIGHT,
        task => go_to(task),
    }
}

#[cold]
fn go_to(task: Option<&'static Inside>) -> Leave {
    task.map_or_else(run, Inside::resume)
}

/// Gives the kernel a call; returns the task if it just runs on.
fn take_call(args: [u64; 6]) -> Option<&'static Inside> {
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
    // The call may have looked into other processes, and is carried on in the last of them.
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

/// Gives the kernel what else the task has stopped for; returns the task if it just runs on.
fn take_event(event: Event) -> Option<&'static Inside> {
    let (task, tid) = turn().task.get()?;
    let kernel = turn().kernel.get()?;
    // Codes up to 0 are for signals that a process has sent: from outside, hence no concern of the guest's.
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
    if event.signal == SIGSEGV && answer(kernel, task) {
        return (!kernel.stops_at_horizon()).then_some(task);
    }
    let Event { mut signal, mut code, addr, trap, error, .. } = event;
    // Where the arena's file has ended, Linux speaks of SIGBUS. For a guest nothing is mapped there.
    if signal == SIGBUS && (ARENA..ARENA + ARENA_SIZE).contains(&addr) {
        const SEGV_MAPERR: i32 = 1;
        (signal, code) = (SIGSEGV, SEGV_MAPERR);
    }
    kernel.stopped(tid, Stop::Fault(Fault { signal, code, addr, trap, error }));
    None
}

/// Carries out `cpuid`, if that is what the guest stands at or has trapped in place of; needs no more than the table.
///
/// # Safety
/// `uc` is what a signal handler got.
unsafe fn answer_cpuid(signal: i32, uc: *mut u64) -> bool {
    // SAFETY: the caller's promise.
    let word = |index| unsafe { &mut *uc.add(index) };
    let rip = word(frame::RIP);
    let rest = match signal {
        SIGSEGV if cpuid::has_stopped(*rip) => 2,
        SIGTRAP if cpuid::has_trapped(*rip) => 1,
        _ => return false,
    };
    let it = settings().cpuid.ask(*word(frame::RAX) as u32, *word(frame::RCX) as u32);
    for (index, value) in [(frame::RAX, it.eax), (frame::RBX, it.ebx), (frame::RCX, it.ecx), (frame::RDX, it.edx)] {
        *word(index) = u64::from(value);
    }
    *rip += rest;
    count(&control().stops);
    count(&control().traps);
    true
}

/// One more. Only who has the turn writes.
fn count(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

/// Carries out `rdtsc` or `rdtscp`, if that is what the task stands at.
fn answer(kernel: &alloc::rc::Rc<Kernel>, task: &Inside) -> bool {
    let mut regs = task.regs();
    let mut code = [0; 3];
    let len = task.read(regs.rip, &mut code);
    match &code[..len] {
        [0x0f, 0x31, ..] | [0x0f, 0x01, 0xf9] => {
            let now = kernel.timestamp_counter();
            regs.rax = now & 0xffff_ffff;
            regs.rdx = now >> 32;
            if code[1] == 0x01 {
                regs.rcx = 0;
                regs.rip += 1;
            }
        }
        _ => return false,
    }
    regs.rip += 2;
    task.set_regs(&regs);
    count(&control().traps);
    true
}

/// Lets whoever's turn it is run.
pub fn run() -> Leave {
    match decide() {
        Ok(task) => task.resume(),
        Err(end) => finish(&end),
    }
}

/// Asks the kernel; when this returns, the task's process is the one that runs. Nothing of it stays on the stack.
fn decide() -> Result<&'static Inside, End> {
    let Some(kernel) = turn().kernel.get() else { return Err(End::Broken("there is no kernel".into())) };
    loop {
        supervisor::attend();
        turn().cx.set(None);
        let horizon = supervisor::horizon();
        match kernel.run_until(horizon) {
            Next::Run(tid) => {
                let Some(cx) = kernel.turn() else {
                    return Err(End::Broken(format!(
                        "the kernel runs task {tid}, which isn't there; please report this"
                    )));
                };
                let inside = task::of(&cx.task.guest);
                inside.process.enter();
                part::<Crossing>().context.set(&raw const inside.context);
                supervisor::check();
                turn().task.set(Some((inside, tid)));
                // SAFETY: the kernel is never dropped, and keeps this in its place until it is asked who is next.
                turn().cx.set(Some(unsafe { &*core::ptr::from_ref(&*cx) }));
                return Ok(inside);
            }
            Next::AwaitConsole { streams } => supervisor::await_streams(&streams),
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
