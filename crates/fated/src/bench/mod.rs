//! `fated bench`: the tables of docs/BENCHMARKS.md. All numbers of a table are measured in one run, on one CPU, with the same program
//! ([`work`]), so that they can be compared with each other, but with no others.

mod call;
mod engines;
mod machine;
mod memory;
mod programs;
mod stop;
mod strace;
mod table;
mod wait;
mod work;

use std::io::Write as _;

use crate::cli::{Bench, BenchArgs};

/// Runs a benchmark and prints its table.
pub fn run(bench: &Bench) -> anyhow::Result<()> {
    let (name, common, table) = match bench {
        Bench::Wait { max, common } => ("wait", common, wait::measure(*max, common)?),
        Bench::Stop { max, common } => ("stop", common, stop::measure(*max, common)?),
        Bench::Call { common } => ("call", common, call::measure(common)?),
        Bench::Engines { max, common } => ("engines", common, engines::measure(*max, common)?),
        Bench::Memory { max, common } => ("memory", common, memory::measure(*max, common)?),
        Bench::Programs { common } => ("programs", common, programs::measure(common)?),
        Bench::Strace { common } => ("strace", common, strace::measure(common)?),
        Bench::Floor { idle, rounds } => return stop::print_floor(*idle, *rounds),
    };
    let text = match common {
        BenchArgs { json: true, .. } => format!("{}\n", table.json(name)),
        BenchArgs { markdown: true, .. } => table.markdown(name),
        _ => table.text(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// The reason for a missing number.
const TOO_MANY: &str = "more than this machine permits (pid_max, ulimit -u, pids.max of the cgroup)";

/// Prints what is being measured, on standard error.
fn progress(what: &str) {
    eprintln!("measuring: {what}");
}
