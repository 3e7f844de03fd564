//! The same work natively, under strace(1) and under fated.

use super::machine;
use super::table::Table;
use super::work::{self, Load, PASSES, Under, Work};
use crate::cli::BenchArgs;

const ROWS: [(&str, Load); 8] = [
    ("a call (getppid)", Load { mode: "call", idle: 0 }),
    ("reading the clock", Load { mode: "clock", idle: 0 }),
    ("a byte to another process and back", Load { mode: "pipe", idle: 0 }),
    ("a thread's turn and back", Load { mode: "thread", idle: 0 }),
    ("open, fstat, read, close", Load { mode: "file", idle: 0 }),
    ("fork, exec /bin/true, wait", Load { mode: "exec", idle: 0 }),
    ("fork, wait by pid", Load { mode: "wait-pid", idle: 0 }),
    ("fork, wait by pid, 1000 other children", Load { mode: "wait-pid", idle: 1000 }),
];

/// Measures the table.
pub fn measure(args: &BenchArgs) -> anyhow::Result<Table> {
    let work = Work::compile(machine::choose_cpu(args.cpu)?, args.rounds.div_ceil(PASSES), args.engine)?;
    let mut notes = Vec::new();
    let strace = work::is_installed("strace");
    if !strace {
        notes.push("no strace: install it to compare".to_owned());
    }
    let columns = [Some(Under::Host), strace.then_some(Under::Strace), Some(Under::Fated)];
    let best = work.best(&ROWS.map(|(_, load)| load), columns)?;
    let rows = ROWS.iter().zip(best).map(|((label, _), [host, traced, fated])| {
        let ratio = traced.zip(fated).map(|(traced, fated)| traced / fated);
        ((*label).to_owned(), vec![host, traced, fated, ratio])
    });
    let rows = rows.collect();
    let columns = ["host", "strace -f", "fated", "strace / fated"].map(str::to_owned).to_vec();
    notes.push("strace leaves the clock alone: programs read it without a call. Under fated it is virtual.".to_owned());
    notes.push("The last column is a ratio: above 1, fated is faster than strace.".to_owned());
    Ok(Table { caption: "Microseconds for each unit of work, all on one CPU.", corner: "", columns, rows, notes })
}
