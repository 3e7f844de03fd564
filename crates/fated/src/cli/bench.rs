//! The options of `fated bench`.

use clap::{Args, Subcommand};

use crate::cli::EngineName;

/// `fated bench`.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Time a fork and the wait for the child, for a parent that has 1 to 8000 other children
    Wait {
        /// The most children to try
        #[arg(long, value_name = "N", default_value_t = 8000)]
        max: u32,
        /// How to measure and print.
        #[command(flatten)]
        common: BenchArgs,
    },
    /// Time one emulated call while 0 to 10000 other guests are idle, and the least that ptrace itself costs
    Stop {
        /// The most idle guests to try
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        max: u32,
        /// How to measure and print.
        #[command(flatten)]
        common: BenchArgs,
    },
    /// Time one call natively, through a rewritten call site, by signal and under ptrace
    Call {
        /// How to measure and print.
        #[command(flatten)]
        common: BenchArgs,
    },
    /// Time the same work natively, under strace -f and under fated
    Strace {
        /// How to measure and print.
        #[command(flatten)]
        common: BenchArgs,
    },
    /// Time the same work natively and under both engines
    Engines {
        /// The most children to try
        #[arg(long, value_name = "N", default_value_t = 8000)]
        max: u32,
        /// How to measure and print.
        #[command(flatten)]
        common: BenchArgs,
    },
    /// Measure how much memory an idle process and an idle thread take, natively and under both engines
    Memory {
        /// How many processes, and how many threads
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
        max: u32,
        /// How to measure and print.
        #[command(flatten)]
        common: BenchArgs,
    },
    /// Time whole programs natively and under both engines
    Programs {
        /// How to measure and print.
        #[command(flatten)]
        common: BenchArgs,
    },
    /// Time the bare loop of bench stop and print the result for it to read
    #[command(hide = true)]
    Floor {
        /// How many other tracees are idle
        idle: u32,
        /// How many times to measure
        rounds: u32,
    },
}

/// Options of all benchmarks.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// How many rounds of about two milliseconds to measure for each number; the best one counts, being the least disturbed
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rounds: u32,
    /// The CPU to measure on; by default the last one that this process may use
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    /// The engine that runs the guests, where the table isn't about one engine
    #[arg(long, value_name = "NAME", default_value = "any")]
    pub engine: EngineName,
    /// Print one JSON object instead of a table
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// Print a Markdown section with command, machine and date instead of a table
    #[arg(long)]
    pub markdown: bool,
}
