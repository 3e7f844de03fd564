//! What fated itself says. If standard error can't be written, there is nobody to tell, and the run goes on: nothing else changes.

use std::fmt::Display;
use std::io::Write as _;

/// Prints a line for the user.
pub fn say(line: impl Display) {
    print(&format!("fated: {line}\n"));
}

/// Prints text as it is, at once.
pub fn print(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
