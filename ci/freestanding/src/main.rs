//! Uses the kernel and the wait subsystem in a program that has neither libc nor std under it. That it links is the
//! proof that they need no operating system; that it prints the right thing shows that they work there.

#![no_std]
#![no_main]

extern crate alloc;

mod guest;
mod runtime;

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use core::fmt::{self, Write};

use fated_kernel::config::{Config, Input, Policy};
use fated_kernel::host::{Boot, Ending, Kernel, Next};
use fated_kernel::ports::Stop;
use fated_kernel::process::credentials::Credentials;
use fated_kernel::syscall::table;
use fated_wait::{Effects, Errno, ExitCode, Family, ForkFlags, Signal, Tid, Usage, WaitOutcome, WaitRequest};

use guest::{Guests, Script, Scripted, Transcript};
use runtime::Stdout;

/// Where the guests' memory holds what they ask for.
const RANDOM: u64 = 0x100;
const STATUS: u64 = 0x200;

/// Asks for randomness, forks, waits for the child, and exits.
const PARENT: Script = &[
    (39, [0; 6]),
    (318, [RANDOM, 8, 0, 0, 0, 0]),
    (57, [0; 6]),
    (61, [u64::MAX, STATUS, 0, 0, 0, 0]),
    (231, [3, 0, 0, 0, 0, 0]),
];

/// Sleeps for the second that stands at 16, and exits.
const CHILD: Script = &[(35, [16, 0, 0, 0, 0, 0]), (231, [7, 0, 0, 0, 0, 0])];

fn main() -> fmt::Result {
    let counts = table::COUNTS;
    writeln!(
        Stdout,
        "{} system calls: {} modelled, {} partial, {} native, {} refused",
        table::all().len(),
        counts.modelled,
        counts.partial,
        counts.native,
        counts.refused
    )?;
    let first = run(1);
    Stdout.write_str(&first)?;
    assert_eq!(first, run(1), "the same seed gives the same run");
    assert_ne!(first, run(2), "another seed gives another run");
    assert_eq!(reaped(1000), Ok(1000), "children are reaped in the order of their forks");
    writeln!(Stdout, "freestanding: 3 passed, 0 failed")
}

/// A whole run under the kernel: the calls, what the guest found in its memory, and how it ended.
fn run(seed: u64) -> String {
    let transcript = Rc::new(Transcript::default());
    let config = Config {
        seed,
        epoch_ns: 1_700_000_000_000_000_000,
        call_cost_ns: 1000,
        policy: Policy::Random,
        slice_calls: 10,
        hostname: "freestanding".into(),
        cpus: 1,
        max_tasks: 100,
        input: Input::Blocks,
        wait_by_scan: false,
        real_start_ns: 0,
        tmp: None,
        log: true,
    };
    let kernel = Kernel::new(config, transcript.clone(), transcript.clone());
    let mut memory = vec![0; 4096];
    memory[16] = 1;
    let guests = Guests::default();
    let parent = Scripted::new(PARENT, CHILD, memory, &guests);
    let credentials = Credentials::default();
    let boot = Boot {
        exe: b"/script".into(),
        cwd: b"/".into(),
        umask: 0o022,
        credentials,
        inherited: vec![],
        descriptors: 1024,
    };
    let tid = kernel.boot(&boot, parent.clone());
    guests.borrow_mut().push((tid, parent.clone()));
    let ending = loop {
        let tid = match kernel.run_until(None) {
            Next::Run(tid) => tid,
            Next::AwaitConsole { .. } | Next::AwaitOutsider { .. } => {
                break Ending::Broken("waits for the outside".into());
            }
            Next::Idle { .. } => break Ending::Broken("there is no horizon".into()),
            Next::Finished(ending) => break ending,
        };
        let guest = guests.borrow().iter().find(|(its, _)| *its == tid).map(|(_, guest)| guest.clone());
        let Some(guest) = guest else { break Ending::Broken("an unknown task".into()) };
        kernel.stopped(tid, Stop::Call(guest.run()));
    };
    let random = parent.read_word(RANDOM);
    format!("{}random {random:#x}, status {:#x}, {ending:?}\n", transcript.0.borrow(), parent.read_word(STATUS) as u32)
}

/// Forks children that die in the reverse order; how many are reaped in the order in which they were forked.
fn reaped(children: u32) -> Result<u32, Errno> {
    let tid = |n| Tid::new(n).ok_or(Errno::ESRCH);
    let (parent, mut family, mut fx) = (tid(1)?, Family::default(), Effects::new());
    family.init(parent)?;
    for n in 0..children {
        family.fork(parent, tid(2 + n)?, ForkFlags::default(), Some(Signal::SIGCHLD), &mut fx)?;
    }
    for n in (0..children).rev() {
        family.exit_thread(tid(2 + n)?, ExitCode::exited(0), Usage::default(), &mut fx)?;
    }
    let any = WaitRequest::wait4(-1, 0, family.pgid(parent).ok_or(Errno::ESRCH)?)?;
    let mut in_order = 0;
    while let Ok(WaitOutcome::Found(report)) = family.wait(parent, &any, &mut fx) {
        if report.tid == tid(2 + in_order)? {
            in_order += 1;
        }
    }
    Ok(in_order)
}
