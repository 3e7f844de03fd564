//! The table that a benchmark prints.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::machine;

/// Numbers, with a row for each thing that was measured.
#[derive(Debug, Default)]
pub struct Table {
    /// What the numbers mean, with their unit.
    pub caption: &'static str,
    /// The head of the first column.
    pub corner: &'static str,
    /// The heads of the other columns.
    pub columns: Vec<String>,
    /// Label and numbers; `None` where nothing could be measured.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
    /// Notes for the reader: verdicts, and limits that were reached.
    pub notes: Vec<String>,
}

impl Table {
    /// For a terminal.
    pub fn text(&self) -> String {
        let cells = self.cells();
        let widths: Vec<usize> = (0..=self.columns.len())
            .map(|column| {
                cells.iter().filter_map(|row| row.get(column)).map(|it| it.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = format!("{}\n\n", self.caption);
        for row in &cells {
            let padded: Vec<String> = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(at, (cell, &width))| if at == 0 { format!("{cell:width$}") } else { format!("{cell:>width$}") })
                .collect();
            let _ = writeln!(text, "{}", padded.join("  "));
        }
        for (at, note) in self.notes.iter().enumerate() {
            let _ = writeln!(text, "{}{note}", if at == 0 { "\n" } else { "" });
        }
        text
    }

    /// For docs/BENCHMARKS.md, with the command, the machine and the day.
    pub fn markdown(&self, name: &str) -> String {
        let mut text = format!(
            "## `fated bench {name}`\n\n{}\n\n`{}`, {}, {}.\n\n",
            self.caption,
            machine::command(),
            machine::describe(),
            machine::today()
        );
        for (at, row) in self.cells().iter().enumerate() {
            let _ = writeln!(text, "| {} |", row.join(" | "));
            if at == 0 {
                let _ = writeln!(text, "|---|{}", "---:|".repeat(self.columns.len()));
            }
        }
        for (at, note) in self.notes.iter().enumerate() {
            let _ = writeln!(text, "{}- {note}", if at == 0 { "\n" } else { "" });
        }
        text
    }

    /// As JSON, for programs.
    pub fn json(&self, name: &str) -> Value {
        let rows: Vec<Value> =
            self.rows.iter().map(|(label, numbers)| json!({ "label": label, "numbers": numbers })).collect();
        json!({
            "bench": name,
            "caption": self.caption,
            "command": machine::command(),
            "machine": machine::describe(),
            "date": machine::today(),
            "columns": self.columns,
            "rows": rows,
            "notes": self.notes,
        })
    }

    fn cells(&self) -> Vec<Vec<String>> {
        let head = [self.corner.to_owned()].into_iter().chain(self.columns.iter().cloned()).collect();
        let rows = self.rows.iter().map(|(label, numbers)| {
            [label.clone()]
                .into_iter()
                .chain(numbers.iter().map(|number| number.map_or("–".to_owned(), rounded)))
                .collect()
        });
        [head].into_iter().chain(rows).collect()
    }
}

/// A number with three significant digits, all digits before the point, and at most three after it.
fn rounded(number: f64) -> String {
    match number {
        it if it < 1.0 => format!("{it:.3}"),
        it if it < 10.0 => format!("{it:.2}"),
        it if it < 100.0 => format!("{it:.1}"),
        it => format!("{it:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_lines_up() {
        let table = Table {
            caption: "µs each",
            corner: "",
            columns: vec!["1".to_owned(), "8000".to_owned()],
            rows: vec![
                ("by pid".to_owned(), vec![Some(73.94), Some(1234.5)]),
                ("any".to_owned(), vec![Some(0.0871), None]),
            ],
            notes: vec!["a note".to_owned()],
        };
        assert_eq!(
            table.text(),
            "µs each\n\n            1  8000\nby pid   73.9  1234\nany     0.087     –\n\na note\n"
        );
    }
}
