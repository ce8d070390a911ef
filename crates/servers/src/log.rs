//! Log files of bounded size, with rotation.
//!
//! A process writes to a pipe, and a thread here is the only writer of the file. So the file can be rotated without losing
//! or splitting a line, and without the process's help. Guarantees: at most `kept` rotated files exist (`x.log.1` is the
//! newest), so all files together take at most `size` times `kept + 1`, plus a line; the process never waits longer than a
//! file write takes, even if the disk is full: lines that can't be written are lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Longer lines are written in parts.
const MAX_LINE: usize = 1024 * 1024;
/// Size of a read.
const CHUNK: usize = 64 * 1024;

/// Limits of a log's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Maximum size of a file, in bytes.
    pub size: u64,
    /// Number of rotated files that are kept.
    pub kept: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { size: 16 * 1024 * 1024, kept: 3 }
    }
}

impl Rotation {
    /// The path of the `number`th newest rotated file of `log`, from 1.
    #[must_use]
    pub fn aside(log: &Path, number: u32) -> PathBuf {
        let mut name = log.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// A log that is rotated when it is full. It accepts any bytes and writes whole lines.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    /// The beginning of an incomplete line.
    partial: Vec<u8>,
    /// The file ends in the middle of a line that was too long to buffer.
    torn: bool,
}

impl Log {
    /// Opens a log for appending; a new one is readable only by its owner.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(path: &Path, rotation: Rotation) -> Result<Self> {
        let file = append(path).with_context(|| format!("cannot write the log {}", path.display()))?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), rotation, file, size, partial: Vec::new(), torn: false })
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let (whole, rest) = bytes.split_at(end);
        if end > 0 {
            self.partial.extend_from_slice(whole);
            let lines = std::mem::take(&mut self.partial);
            self.lines(&lines)?;
            self.partial = lines;
            self.partial.clear();
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() > MAX_LINE {
            let part = std::mem::take(&mut self.partial);
            self.lines(&part)?;
            self.torn = true;
        }
        Ok(())
    }

    /// Writes lines, as many per file as fit. A line is never split to fill a file.
    fn lines(&mut self, mut lines: &[u8]) -> io::Result<()> {
        while !lines.is_empty() {
            let room = usize::try_from(self.rotation.size.saturating_sub(self.size)).unwrap_or(usize::MAX);
            let fits = if lines.len() <= room {
                lines.len()
            } else {
                lines[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1)
            };
            // A line longer than a file gets a file of its own; the rest of a partially written line stays with it.
            let line = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
            let now = match fits {
                0 if self.size == 0 || self.torn => line,
                0 => {
                    self.rotate()?;
                    continue;
                }
                fits => fits,
            };
            self.file.write_all(&lines[..now])?;
            self.size += now as u64;
            self.torn = false;
            lines = &lines[now..];
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.rotation.kept).rev() {
            rename(&Rotation::aside(&self.path, number), &Rotation::aside(&self.path, number + 1))?;
        }
        if self.rotation.kept == 0 {
            self.file.set_len(0)?;
        } else {
            rename(&self.path, &Rotation::aside(&self.path, 1))?;
            self.file = append(&self.path)?;
        }
        self.size = 0;
        Ok(())
    }

    /// Ends an incomplete line, so that the next writer starts a new one.
    fn end(&mut self) -> io::Result<()> {
        if self.partial.is_empty() && !self.torn {
            return Ok(());
        }
        self.take(b"\n")
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Signals that everything from a pipe has been written to the log.
#[derive(Debug)]
pub(crate) struct Drained(Mutex<Receiver<()>>);

impl Drained {
    /// Blocks until then, for at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
        // Disconnected means done; a timeout ends the wait too.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(timeout);
    }
}

/// Copies `pipe` into `log` until its other end is closed. Runs on a thread, so that a busy runtime never blocks a server.
pub(crate) fn drain(mut pipe: impl Read + Send + 'static, mut log: Log) -> Result<Drained> {
    let (done, drained) = channel::<()>();
    let work = move || {
        let mut buffer = vec![0; CHUNK];
        let mut failed = false;
        loop {
            let taken = match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => log.take(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                Err(_) => break,
            };
            if let Err(error) = taken
                && !std::mem::replace(&mut failed, true)
            {
                tracing::warn!(log = %log.path.display(), %error, "log can't be written, lines are lost");
            }
        }
        drop(log.end());
        drop(done);
    };
    thread::Builder::new().name("log".to_owned()).spawn(work).context("cannot start the log thread")?;
    Ok(Drained(Mutex::new(drained)))
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
