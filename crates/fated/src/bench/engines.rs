//! The same work natively and under both engines.

use super::machine;
use super::table::Table;
use super::work::{Load, PASSES, Under, Work};
use crate::cli::BenchArgs;

const ROWS: [(&str, Load); 10] = [
    ("a call (getppid)", Load { mode: "call", idle: 0 }),
    ("reading the clock", Load { mode: "clock", idle: 0 }),
    ("a thread's turn and back", Load { mode: "thread", idle: 0 }),
    ("a byte to another process and back", Load { mode: "pipe", idle: 0 }),
    ("open, fstat, read, close", Load { mode: "file", idle: 0 }),
    ("fork, exec /bin/true, wait", Load { mode: "exec", idle: 0 }),
    ("fork, wait by pid, 1 other child", Load { mode: "wait-pid", idle: 1 }),
    ("fork, wait by pid, 8000 other children", Load { mode: "wait-pid", idle: 8000 }),
    ("fork, wait for any, 1 other child", Load { mode: "wait-any", idle: 1 }),
    ("fork, wait for any, 8000 other children", Load { mode: "wait-any", idle: 8000 }),
];

const COLUMNS: [Under; 3] = [Under::Host, Under::Inside, Under::Ptrace];

/// Measures the table, with at most `max` other children.
pub fn measure(max: u32, args: &BenchArgs) -> anyhow::Result<Table> {
    let work = Work::compile(machine::choose_cpu(args.cpu)?, args.rounds.div_ceil(PASSES), args.engine)?;
    let rows: Vec<_> = ROWS.iter().filter(|(_, load)| load.idle <= max).collect();
    let loads: Vec<_> = rows.iter().map(|(_, load)| *load).collect();
    let best = work.best(&loads, COLUMNS.map(Some))?;
    let rows = rows.iter().zip(best).map(|((label, _), numbers)| ((*label).to_owned(), with_ratios(numbers)));
    Ok(Table {
        caption: "Microseconds for each unit of work, all on one CPU.",
        corner: "",
        columns: columns(),
        rows: rows.collect(),
        notes: vec![RATIOS.to_owned()],
    })
}

/// The note for the columns of [`with_ratios`].
pub const RATIOS: &str = "The last two columns are ratios: below 1, it is cheaper under fated than natively.";

/// The headings of the columns of [`with_ratios`].
pub fn columns() -> Vec<String> {
    ["host", "inside", "ptrace", "inside / host", "ptrace / host"].map(str::to_owned).into()
}

/// Host, inside and ptrace, and the ratio of the latter two to the first.
pub fn with_ratios([host, inside, ptrace]: [Option<f64>; 3]) -> Vec<Option<f64>> {
    let ratio = |it: Option<f64>| it.zip(host).map(|(it, host)| it / host);
    vec![host, inside, ptrace, ratio(inside), ratio(ptrace)]
}
