//! One emulated call while other guests idle, compared with the least that any tracer has to do for a call.

#![expect(
    clippy::disallowed_methods,
    reason = "the bare loop runs in a process of its own, on the CPU that is measured"
)]

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use fated_ptrace::bench::{AwaitBy, Tracees};

use super::table::Table;
use super::wait::growth;
use super::work::{Load, Under, Work};
use super::{machine, progress};
use crate::cli::BenchArgs;

const SIZES: [u32; 5] = [0, 100, 1000, 5000, 10_000];
/// Units in a round, few enough that rarely another process interrupts it.
const CALLS: u32 = 400;
/// The same for waitpid(-1), which takes far longer with many tracees.
const SLOW_CALLS: u32 = 5;

/// Measures with up to `max` idle guests.
pub fn measure(max: u32, args: &BenchArgs) -> anyhow::Result<Table> {
    let cpu = machine::choose_cpu(args.cpu)?;
    machine::raise_pid_limits(max);
    let work = Work::compile(cpu, args.rounds, args.engine)?;
    let mut sizes: Vec<u32> = SIZES.into_iter().filter(|&size| size < max).collect();
    sizes.push(max);
    let (mut fated, mut by_pid, mut any, mut ratio) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for &idle in &sizes {
        let call = work.time(Under::Ptrace, Load { mode: "call", idle })?;
        let floor = floor(cpu, idle, args.rounds)?;
        fated.push(call);
        by_pid.push(floor.map(|(pid, _)| pid));
        any.push(floor.map(|(_, any)| any));
        ratio.push(call.zip(floor).map(|(call, (pid, _))| call / pid));
    }
    progress("done");
    let mut notes: Vec<String> = growth("fated, getppid", &sizes, &fated).into_iter().collect();
    for size in sizes.iter().zip(fated.iter().zip(&any)).filter(|(_, (a, b))| a.is_none() || b.is_none()) {
        notes.push(format!("{} guests are {}", size.0, super::TOO_MANY));
    }
    notes.push(
        "The bare loop is PTRACE_CONT, waitpid, PTRACE_GETREGS and PTRACE_SETREGS on a seccomp stop; the idle ones are its tracees."
            .to_owned(),
    );
    let columns = sizes.iter().map(|size| format!("N = {size}")).collect();
    let rows = [
        ("fated, getppid", fated),
        ("bare loop, waitpid(pid)", by_pid),
        ("ratio of the two", ratio),
        ("bare loop, waitpid(-1)", any),
    ];
    let rows = rows.map(|(label, numbers)| (label.to_owned(), numbers)).to_vec();
    Ok(Table {
        caption: "Microseconds for one emulated call; N other guests are idle.",
        corner: "",
        columns,
        rows,
        notes,
    })
}

/// Times the bare loop, waiting by id and for any tracee, in microseconds. `None` if so many tracees are not possible.
fn floor(cpu: usize, idle: u32, rounds: u32) -> anyhow::Result<Option<(f64, f64)>> {
    progress(&format!("the bare loop, {idle} idle"));
    let fated = std::env::current_exe().context("failed to find fated itself")?;
    let mut command = Command::new("taskset");
    command.arg("-c").arg(cpu.to_string()).arg(fated).args(["bench", "floor", &idle.to_string(), &rounds.to_string()]);
    let output = command.output().context("failed to run taskset: install util-linux")?;
    if !output.status.success() {
        bail!("failed to measure the bare loop: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("failed to parse the time of the bare loop")
}

/// Runs in the process that [`floor`] starts.
pub fn print_floor(idle: u32, rounds: u32) -> anyhow::Result<()> {
    let mut tracees = Tracees::new();
    let numbers = if tracees.grow_to(idle as usize)? < idle as usize {
        None
    } else {
        let best = |calls, by| -> anyhow::Result<f64> {
            let mut best = Duration::MAX;
            for _ in 0..rounds {
                best = best.min(tracees.time_stops(calls, by)?);
            }
            Ok(best.as_secs_f64() * 1e6)
        };
        let slow = if idle > 100 { SLOW_CALLS } else { CALLS };
        Some((best(CALLS, AwaitBy::Pid)?, best(slow, AwaitBy::Any)?))
    };
    println!("{}", serde_json::to_string(&numbers)?);
    Ok(())
}
