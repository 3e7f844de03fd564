//! The memory that an idle process and an idle thread take: that of all processes of a run, fated's own included, with N
//! idle ones less that with none.
//!
//! A page that several processes share is divided among them (`Pss` of proc_pid_smaps(5)); page tables belong to each process
//! (`VmPTE` of proc_pid_status(5)). Linux doesn't show what else it allocates for a process or thread.

use std::collections::BTreeMap;
use std::fs;

use anyhow::ensure;

use super::engines::{RATIOS, columns, with_ratios};
use super::work::{Load, Under, Work, await_ready};
use super::{machine, progress, table::Table};
use crate::cli::BenchArgs;

/// Label, mode, and the file and the line in it that have the number.
const ROWS: [(&str, &str, &str, &str); 3] = [
    ("an idle process", "processes", "smaps_rollup", "Pss"),
    ("an idle process, page tables", "processes", "status", "VmPTE"),
    ("an idle thread", "threads", "smaps_rollup", "Pss"),
];

/// Measures `max` of each.
pub fn measure(max: u32, args: &BenchArgs) -> anyhow::Result<Table> {
    machine::raise_pid_limits(max);
    let work = Work::compile(machine::choose_cpu(args.cpu)?, 1, args.engine)?;
    let mut rows = Vec::new();
    for (label, mode, file, key) in ROWS {
        let mut numbers = [None; 3];
        for (under, result) in [Under::Host, Under::Inside, Under::Ptrace].into_iter().zip(&mut numbers) {
            let kilobytes = |idle| {
                work.with(under, Load { mode, idle }, |pid, input, mut output| {
                    await_ready(&mut output)?;
                    let sum: u64 = family(pid.into()).into_iter().map(|pid| number(pid, file, key)).sum();
                    drop(input);
                    ensure!(sum > 0, "failed to read {key} in /proc/{pid}/{file}: this Linux doesn't have it");
                    Ok(sum as f64)
                })
            };
            let (none, all) = (kilobytes(0)?, kilobytes(max)?);
            *result = all.zip(none).map(|(all, none)| (all - none) / f64::from(max));
        }
        rows.push((label.to_owned(), with_ratios(numbers)));
    }
    progress("done");
    Ok(Table {
        caption: "Kilobytes for one more, all processes of the run and what they share counted.",
        corner: "",
        columns: columns(),
        rows,
        notes: vec![RATIOS.to_owned()],
    })
}

/// A process and all its descendants.
fn family(first: u64) -> Vec<u64> {
    let mut children: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        children.entry(number(pid, "status", "PPid")).or_default().push(pid);
    }
    let mut family = vec![first];
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        family.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    family
}

/// A number in a file of a process; 0 once the process is gone.
fn number(pid: u64, file: &str, key: &str) -> u64 {
    let text = machine::read(&format!("/proc/{pid}/{file}"));
    machine::value(&text, key).and_then(|value| value.split(' ').next()?.parse().ok()).unwrap_or(0)
}
