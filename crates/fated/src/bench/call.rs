//! One call that does nothing, and one reading of the clock: natively, through a rewritten call site, by signal and under ptrace.

use super::machine;
use super::table::Table;
use super::work::{Load, PASSES, Under, Work};
use crate::cli::BenchArgs;

const ROWS: [(&str, &str); 2] = [("getppid", "call"), ("clock_gettime", "clock")];

const COLUMNS: [(&str, Under); 4] = [
    ("host", Under::Host),
    ("inside", Under::Inside),
    ("inside, --no-rewrite", Under::InsideBySignal),
    ("ptrace", Under::Ptrace),
];

/// Measures the table.
pub fn measure(args: &BenchArgs) -> anyhow::Result<Table> {
    let work = Work::compile(machine::choose_cpu(args.cpu)?, args.rounds.div_ceil(PASSES), args.engine)?;
    let loads = ROWS.map(|(_, mode)| Load { mode, idle: 0 });
    let best = work.best(&loads, COLUMNS.map(|(_, under)| Some(under)))?;
    let rows = ROWS.iter().zip(best).map(|((label, _), numbers)| {
        let numbers = numbers.map(|us| us.map(|us| us * 1000.0));
        let ratio = numbers[1].zip(numbers[0]).map(|(inside, host)| inside / host);
        ((*label).to_owned(), numbers.into_iter().chain([ratio]).collect())
    });
    let rows = rows.collect();
    let columns = COLUMNS.iter().map(|(label, _)| *label).chain(["inside / host"]).map(str::to_owned).collect();
    let notes = vec![
        "The host answers clock_gettime in its vDSO, without a call; under fated it is one, on account.".to_owned(),
        "The last column is a ratio: below 1, the simulated call is faster than the real one.".to_owned(),
    ];
    Ok(Table { caption: "Nanoseconds for one call.", corner: "", columns, rows, notes })
}
