//! A fork and the wait for that child, for a parent that has N other children: does the time grow with N?

use super::table::Table;
use super::work::{Load, Under, Work};
use super::{machine, progress};
use crate::cli::BenchArgs;

const SIZES: [u32; 7] = [1, 20, 100, 500, 1000, 5000, 8000];

const ROWS: [(&str, &str, Under); 6] = [
    ("host, by pid", "wait-pid", Under::Host),
    ("host, any child", "wait-any", Under::Host),
    ("fated, by pid", "wait-pid", Under::Fated),
    ("fated, any child", "wait-any", Under::Fated),
    ("fated with --wait scan, by pid", "wait-pid", Under::FatedScan),
    ("fated with --wait scan, any child", "wait-any", Under::FatedScan),
];

/// Measures with up to `max` other children.
pub fn measure(max: u32, args: &BenchArgs) -> anyhow::Result<Table> {
    let cpu = machine::choose_cpu(args.cpu)?;
    machine::raise_pid_limits(max);
    let work = Work::compile(cpu, args.rounds.div_ceil(2), args.engine)?;
    let mut sizes: Vec<u32> = SIZES.into_iter().filter(|&size| size < max).collect();
    sizes.push(max);
    let mut rows: Vec<(String, Vec<Option<f64>>)> =
        ROWS.iter().map(|(label, ..)| ((*label).to_owned(), Vec::new())).collect();
    let mut notes = Vec::new();
    // Two passes, each over all sizes: a temporary disturbance then affects one half of many numbers rather than all of one.
    for pass in 0..2 {
        for (at, &size) in sizes.iter().enumerate() {
            for ((_, mode, under), (label, numbers)) in ROWS.iter().zip(&mut rows) {
                let number = work.time(*under, Load { mode, idle: size })?;
                if pass == 1 {
                    numbers[at] = numbers[at].zip(number).map(|(first, second)| first.min(second));
                    continue;
                }
                if number.is_none() {
                    notes.push(format!("{label}: {size} children are {}", super::TOO_MANY));
                }
                numbers.push(number);
            }
        }
    }
    for (label, numbers) in rows.iter().filter(|(label, _)| label.starts_with("fated,")) {
        notes.extend(growth(label, &sizes, numbers));
    }
    progress("done");
    let columns = sizes.iter().map(|size| format!("N = {size}")).collect();
    let caption =
        "Microseconds for a fork and the wait for that child; the parent has N other children, idle in pause().";
    Ok(Table { caption, corner: "", columns, rows, notes })
}

/// The verdict on a row that should not grow.
pub fn growth(label: &str, sizes: &[u32], numbers: &[Option<f64>]) -> Option<String> {
    let first = numbers.first().copied().flatten()?;
    let (last, at) = numbers.iter().zip(sizes).rev().find_map(|(number, size)| Some((number.as_ref()?, size)))?;
    Some(format!("{label}: {:.2} times as long at {at} as at {}", last / first, sizes.first()?))
}
