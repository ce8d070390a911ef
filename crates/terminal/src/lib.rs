//! Output of commands: tables, colours and progress on a terminal, plain text in a pipe.

use std::io::{IsTerminal as _, Write as _, stdout};

/// Replaces std's macro, which panics if the reader has gone, as in `fleet demo | head`.
#[macro_export]
macro_rules! println {
    () => { $crate::write(format_args!("\n")) };
    ($($text:tt)*) => { $crate::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Replaces std's macro, for the same reason.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::write(format_args!($($text)*)) };
}

/// Writes to standard output; if its reader has gone, the text is dropped.
pub fn write(text: std::fmt::Arguments<'_>) {
    drop(stdout().write_fmt(text));
}

/// Whether standard output supports colours: it is a terminal, and `NO_COLOR` isn't set.
#[must_use]
pub fn has_colours() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Text in green, if colours are supported.
#[must_use]
pub fn good(text: &str) -> String {
    paint(text, "32")
}

/// Text in red, if colours are supported.
#[must_use]
pub fn bad(text: &str) -> String {
    paint(text, "31")
}

/// Text in bold, if colours are supported.
#[must_use]
pub fn bold(text: &str) -> String {
    paint(text, "1")
}

fn paint(text: &str, code: &str) -> String {
    if has_colours() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// A progress line, which the next one overwrites on a terminal; in a pipe each is a line of its own.
pub struct Progress {
    last: String,
}

impl Progress {
    /// A progress line that shows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { last: String::new() }
    }

    /// Shows a text, unless the last call showed the same.
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

/// A table whose columns are as wide as their content, left or right aligned.
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these headings; a leading `>` aligns the column to the right.
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

/// KiB as MiB with one decimal place.
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
    fn mebibytes_have_one_decimal_place() {
        assert_eq!(mib(1536), "1.5 MiB");
    }
}
