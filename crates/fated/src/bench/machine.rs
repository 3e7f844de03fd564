//! The conditions of a measurement: the machine, the command and the day.

#![expect(clippy::disallowed_methods, reason = "a benchmark reports where and when it was run")]

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

/// The text of a file of `/proc`; empty if it can't be read.
pub fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value after a name and a colon.
pub fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, value) = text.lines().find_map(|line| line.split_once(':').filter(|(name, _)| name.trim() == key))?;
    Some(value.trim())
}

/// Processor and system.
pub fn describe() -> String {
    let info = read("/proc/cpuinfo");
    let model = value(&info, "model name").unwrap_or("unknown processor");
    let cpus = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{model} ({cpus} CPUs), Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

/// The command approximately as it was typed.
pub fn command() -> String {
    let args: Vec<String> = std::env::args().skip(1).collect();
    format!("fated {}", args.join(" "))
}

/// The day, as `2026-01-31`.
pub fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    crate::epoch::date(seconds)
}

/// The CPU to measure on: `wanted`, or the last one that this process may use.
pub fn choose_cpu(wanted: Option<usize>) -> anyhow::Result<usize> {
    let status = read("/proc/self/status");
    let list = value(&status, "Cpus_allowed_list").context("failed to read the permitted CPUs in /proc/self/status")?;
    let allowed: Vec<usize> = list
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect();
    match (wanted, allowed.last()) {
        (Some(cpu), _) if !allowed.contains(&cpu) => bail!("failed to use CPU {cpu}: this process may use {list}"),
        (Some(cpu), _) => Ok(cpu),
        (None, Some(&last)) => Ok(last),
        (None, None) => bail!("failed to choose a CPU from {list:?}"),
    }
}

/// Raises the limits for `processes` more processes, as far as permitted.
pub fn raise_pid_limits(processes: u32) {
    let needed = u64::from(processes) * 2 + 8192;
    for path in ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"] {
        let now: u64 = read(path).trim().parse().unwrap_or(u64::MAX);
        // If that isn't permitted, the table says which sizes could not be measured.
        if now < needed && fs::write(path, needed.to_string()).is_ok() {
            eprintln!("raised {path} from {now} to {needed}");
        }
    }
}
