//! One emulated call while others idle, beside the least that any tracer can do for it.

use super::table::Table;
use super::wait::growth;
use super::work::{Load, Under, Work};
use super::{machine, progress};
use crate::cli::BenchArgs;

const SIZES: [u32; 5] = [0, 100, 1000, 5000, 10_000];
/// Short enough for a round that no other process interrupts.
const CALLS: u32 = 400;
/// Waiting for anyone takes far longer.
const SLOW_CALLS: u32 = 5;

const ROWS: [(&str, &str, Under); 3] = [
    ("fated, getppid", "call", Under::Fated),
    ("bare loop, waitpid(pid)", "stop-pid", Under::Host),
    ("bare loop, waitpid(-1)", "stop-any", Under::Host),
];

/// Measures up to `max` idle guests.
pub fn measure(max: u32, args: &BenchArgs) -> anyhow::Result<Table> {
    let cpu = machine::choose_cpu(args.cpu)?;
    machine::raise_pid_limits(max);
    let work = Work::compile(cpu, args.rounds)?;
    let mut sizes: Vec<u32> = SIZES.into_iter().filter(|&size| size < max).collect();
    sizes.push(max);
    let mut rows: Vec<(String, Vec<Option<f64>>)> =
        ROWS.iter().map(|(label, ..)| ((*label).to_owned(), Vec::new())).collect();
    let mut notes = Vec::new();
    for &idle in &sizes {
        for ((_, mode, under), (label, numbers)) in ROWS.iter().zip(&mut rows) {
            let count = if *mode == "stop-any" && idle > 100 { SLOW_CALLS } else { CALLS };
            let number = work.time(*under, Load { mode, idle, count })?;
            if number.is_none() {
                notes.push(format!("{label}: {idle} children are {}", super::TOO_MANY));
            }
            numbers.push(number);
        }
    }
    progress("done");
    let ratio: Vec<Option<f64>> =
        rows[0].1.iter().zip(&rows[1].1).map(|(fated, bare)| Some((*fated)? / (*bare)?)).collect();
    notes.extend(growth(&rows[0].0, &sizes, &rows[0].1));
    notes.push(
        "The bare loop is PTRACE_CONT, waitpid, PTRACE_GETREGS and PTRACE_SETREGS on a seccomp stop; its idle children are traced too."
            .to_owned(),
    );
    rows.insert(2, ("ratio of the two".to_owned(), ratio));
    let columns = sizes.iter().map(|size| format!("N = {size}")).collect();
    Ok(Table {
        caption: "Microseconds for one emulated call; N other guests are idle.",
        corner: "",
        columns,
        rows,
        notes,
    })
}
