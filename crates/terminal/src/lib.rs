//! What a command prints: tables, colours and progress on a terminal, plain text in a pipe.

use std::io::{IsTerminal as _, Write as _, stdout};

/// Shadows std's, which panics when its reader has gone: `fleet demo | head` just ends in silence.
#[macro_export]
macro_rules! println {
    () => { $crate::write(format_args!("\n")) };
    ($($text:tt)*) => { $crate::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Shadows std's, for the same reason.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::write(format_args!($($text)*)) };
}

/// Writes to standard output; when its reader has gone, the text is dropped.
pub fn write(text: std::fmt::Arguments<'_>) {
    drop(stdout().write_fmt(text));
}

/// Whether standard output takes colours: a terminal, and `NO_COLOR` unset.
#[must_use]
pub fn has_colours() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Text in green where there are colours.
#[must_use]
pub fn good(text: &str) -> String {
    paint(text, "32")
}

/// Text in red where there are colours.
#[must_use]
pub fn bad(text: &str) -> String {
    paint(text, "31")
}

/// Text in bold where there are colours.
#[must_use]
pub fn bold(text: &str) -> String {
    paint(text, "1")
}

fn paint(text: &str, code: &str) -> String {
    if has_colours() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// A line that is overwritten by the next one on a terminal, and a line of its own in a pipe.
pub struct Progress {
    last: String,
}

impl Progress {
    /// Nothing shown yet.
    #[must_use]
    pub fn new() -> Self {
        Self { last: String::new() }
    }

    /// Shows where things stand, unless that is what the last call said.
    pub fn show(&mut self, text: &str) {
        if text == self.last {
            return;
        }
        if stdout().is_terminal() {
            crate::print!("\r\x1b[K{text}");
            drop(stdout().flush());
        } else {
            crate::println!("{text}");
        }
        text.clone_into(&mut self.last);
    }

    /// Removes the line from a terminal.
    pub fn clear(&mut self) {
        if stdout().is_terminal() && !self.last.is_empty() {
            crate::print!("\r\x1b[K");
            drop(stdout().flush());
        }
        self.last.clear();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// A table in columns as wide as they need: numbers (by heading) to the right.
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these headings; those that begin with `>` are of columns set to the right.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let first = headings.iter().map(|heading| heading.trim_start_matches('>').to_owned()).collect();
        Self { rows: vec![first], right }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text, the headings in bold.
    #[must_use]
    pub fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.right.len())
            .map(|column| {
                self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let gap = if column == 0 { "" } else { "  " };
                let cell = if self.right[column] { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
                line.push_str(gap);
                line.push_str(&cell);
            }
            let line = line.trim_end();
            text.push_str(&if index == 0 { bold(line) } else { line.to_owned() });
            text.push('\n');
        }
        text
    }
}

/// KiB as MiB with one digit.
#[must_use]
pub fn mib(kib: u64) -> String {
    format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["name", ">n"]);
        table.row(["a".to_owned(), "10".to_owned()]);
        table.row(["long".to_owned(), "2".to_owned()]);
        assert_eq!(table.render(), "name   n\na     10\nlong   2\n");
    }

    #[test]
    fn mebibytes_have_one_digit() {
        assert_eq!(mib(1536), "1.5 MiB");
    }
}
