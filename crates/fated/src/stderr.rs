//! What fated itself says. If standard error can't be written, there is nobody to tell, and nothing else changes: the run goes on.

use std::fmt::Display;
use std::io::{self, Write};

/// Standard error. What can't be written is lost.
pub struct Lossy;

impl Write for Lossy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(io::stderr().write(bytes).unwrap_or(bytes.len()))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints a line for the user.
pub fn say(line: impl Display) {
    print(&format!("fated: {line}\n"));
}

/// Prints text as it is, at once.
pub fn print(text: &str) {
    // It never fails.
    let _ = Lossy.write_all(text.as_bytes());
}
