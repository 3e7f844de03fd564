//! Options that name one of several things.

use clap::ValueEnum;
use fated_engine::Stdio;

/// `--stats=FORMAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatsFormat {
    /// Tables.
    Text,
    /// One JSON object on one line.
    Json,
}

/// `--engine NAME`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// The engine inside if this machine supports it, else ptrace
    #[default]
    Any,
    /// The kernel answers in the guest's own process: much cheaper calls
    Inside,
    /// The kernel answers from fated's process: some microseconds a call; for guests that may overwrite the kernel's memory
    Ptrace,
}

/// `--stdio KIND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StdioName {
    /// What they are: a terminal, pipes, files. For programs that use a terminal, like editors and interactive shells
    Inherit,
    /// Pipes
    Pipe,
    /// A terminal of 80 columns; input comes line by line
    Tty,
    /// /dev/null: there is no input, and output is shown
    Null,
}

impl StdioName {
    /// As the engine names it.
    #[must_use]
    pub fn stdio(self) -> Stdio {
        match self {
            StdioName::Inherit => Stdio::Inherit,
            StdioName::Pipe => Stdio::Pipe,
            StdioName::Tty => Stdio::Tty,
            StdioName::Null => Stdio::Null,
        }
    }
}

/// `--input HOW`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputName {
    /// A read gets all that it asks for (at most 64 KiB), or what is left before the end: the run doesn't depend on when input arrives
    Blocks,
    /// A read gets what there is: for a program on the other side that waits for answers
    Live,
}

/// `--wait HOW`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitBy {
    /// In constant time.
    Index,
    /// In time that grows with the number of children.
    Scan,
}

/// `--tmp WHOSE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TmpOf {
    /// The run's own: empty at first, dropped at the end
    Own,
    /// The host's: what earlier runs have left is an input
    Host,
}
