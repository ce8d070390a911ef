//! Follows a log that is rotated when it is full (`x.log` becomes `x.log.1`, that `x.log.2`, and so on).
//!
//! Guarantee: every line is returned once and in order, unless more is written between two checks than is kept.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use flotilla_servers::Rotation;

/// The maximum number of rotated files.
const MOST: u32 = 1_000;

/// A reader at the end of a log.
#[derive(Debug)]
pub struct Tail {
    log: PathBuf,
    /// The file that is being read, which may have been rotated already; none before there is a log.
    file: Option<File>,
    /// The beginning of an incomplete line.
    partial: Vec<u8>,
}

/// The last lines of a log that are kept, rotated files included, and a reader of what follows them.
///
/// # Errors
/// When the log can't be read.
pub fn last_lines(log: &Path, count: usize, keep: impl Fn(&str) -> bool) -> Result<(Vec<String>, Tail)> {
    let mut tail = Tail { log: log.to_owned(), file: File::open(log).ok(), partial: Vec::new() };
    let mut lines = tail.read_on()?;
    lines.retain(|line| keep(line));
    let mut number = 1;
    while lines.len() < count && number < MOST {
        let Ok(aside) = std::fs::read(Rotation::aside(log, number)) else { break };
        let aside = String::from_utf8_lossy(&aside);
        let mut older: Vec<String> = aside.lines().filter(|line| keep(line)).map(str::to_owned).collect();
        older.append(&mut lines);
        lines = older;
        number += 1;
    }
    Ok((lines.split_off(lines.len().saturating_sub(count)), tail))
}

impl Tail {
    /// Complete lines that were added since the last check.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn lines(&mut self) -> Result<Vec<String>> {
        // Checked before the rest of the current file is read: it is complete once another one has replaced it.
        let newer = self.newer()?;
        let mut lines = self.read_on()?;
        for file in newer {
            self.file = Some(file);
            lines.append(&mut self.read_on()?);
        }
        Ok(lines)
    }

    /// The files that were created after the one that is being read, oldest first.
    fn newer(&self) -> Result<Vec<File>> {
        let present = self.file.as_ref().map(File::metadata).transpose()?.map(|file| (file.dev(), file.ino()));
        let mut newer = Vec::new();
        for number in 0..MOST {
            let path = if number == 0 { self.log.clone() } else { Rotation::aside(&self.log, number) };
            let Ok(file) = File::open(path) else { break };
            let metadata = file.metadata()?;
            let this = (metadata.dev(), metadata.ino());
            // A file that is renamed during the scan is seen twice.
            let seen = |file: &File| file.metadata().is_ok_and(|file| (file.dev(), file.ino()) == this);
            if Some(this) == present {
                break;
            }
            if !newer.iter().any(seen) {
                newer.push(file);
            }
            // Nothing was read before: rotated files are history.
            if present.is_none() {
                break;
            }
        }
        newer.reverse();
        Ok(newer)
    }

    fn read_on(&mut self) -> Result<Vec<String>> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        // The file was truncated, for example by another program.
        if file.metadata()?.len() < file.stream_position()? {
            file.seek(SeekFrom::Start(0))?;
            self.partial.clear();
        }
        file.read_to_end(&mut self.partial)?;
        let whole = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines = String::from_utf8_lossy(&self.partial[..whole]).lines().map(str::to_owned).collect();
        self.partial.drain(..whole);
        Ok(lines)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use std::io::Write as _;

    use flotilla_servers::Log;

    use super::*;

    const SMALL: Rotation = Rotation { size: 400, kept: 5 };

    fn write(log: &mut Log, numbers: std::ops::Range<u32>) -> Vec<String> {
        let lines: Vec<String> = numbers.map(|number| format!("line {number}")).collect();
        log.write_all(lines.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes()).unwrap();
        lines
    }

    #[test]
    fn a_log_is_followed_over_any_number_of_rotations_without_losing_or_repeating_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.log");
        let (none, mut tail) = last_lines(&path, 10, |_| true).unwrap();
        assert!(none.is_empty());
        let mut log = Log::open(&path, SMALL).unwrap();
        let (mut written, mut read) = (Vec::new(), Vec::new());
        let mut next = 0;
        // From none to three rotations between two checks.
        for count in (0..120).chain([150; 10]) {
            written.append(&mut write(&mut log, next..next + count));
            next += count;
            read.append(&mut tail.lines().unwrap());
        }
        assert_eq!(read, written);
        assert!(Rotation::aside(&path, 5).exists() && !Rotation::aside(&path, 6).exists());
    }

    #[test]
    fn the_last_lines_are_found_also_where_the_log_has_just_been_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.log");
        let written = write(&mut Log::open(&path, SMALL).unwrap(), 0..200);
        assert_eq!(last_lines(&path, 60, |_| true).unwrap().0, written[140..]);
        assert_eq!(last_lines(&path, 1, |_| true).unwrap().0, written[199..]);
    }

    #[test]
    fn lines_that_are_not_kept_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.log");
        write(&mut Log::open(&path, SMALL).unwrap(), 0..100);
        let (lines, _) = last_lines(&path, 2, |line| line.ends_with('0')).unwrap();
        assert_eq!(lines, ["line 80", "line 90"]);
    }

    #[test]
    fn half_a_line_is_read_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.log");
        std::fs::write(&path, "one\ntw").unwrap();
        let (lines, mut tail) = last_lines(&path, 10, |_| true).unwrap();
        assert_eq!(lines, ["one"]);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"o\n").unwrap();
        assert_eq!(tail.lines().unwrap(), ["two"]);
    }
}
