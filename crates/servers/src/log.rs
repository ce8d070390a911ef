//! A log of bounded size.
//!
//! What a process writes comes through a pipe to a thread of ours, which alone writes the file: so it can be put aside
//! when it is full without losing a line or tearing one in two, and without asking the process for anything. Guarantees:
//! at most `kept` files are put aside (`x.log.1` is the newest), so all of them together take `size` times `kept + 1`,
//! and a line more; the process never waits for longer than a write to a file takes, also where the disk is full: what
//! can't be written then is lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A longer line is written in parts.
const LONGEST_LINE: usize = 1024 * 1024;
/// What is read at once.
const CHUNK: usize = 64 * 1024;

/// How large logs get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file isn't made longer than this, in bytes.
    pub size: u64,
    /// So many files are kept beside the one that is written.
    pub kept: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { size: 16 * 1024 * 1024, kept: 3 }
    }
}

impl Rotation {
    /// The file of `log` that was put aside as the `number`th newest, from 1.
    #[must_use]
    pub fn aside(log: &Path, number: u32) -> PathBuf {
        let mut name = log.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// A log that is put aside when it is full. Takes bytes as they come and writes whole lines.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    /// The beginning of a line whose end has yet to come.
    partial: Vec<u8>,
    /// The file ends in the middle of a line that was too long to wait for.
    torn: bool,
}

impl Log {
    /// Opens a log for appending, readable by its owner alone where it is new.
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
        if self.partial.len() > LONGEST_LINE {
            let part = std::mem::take(&mut self.partial);
            self.lines(&part)?;
            self.torn = true;
        }
        Ok(())
    }

    /// Writes lines, as many into a file as fit. What a file lacks to be full is left free rather than filled by a half.
    fn lines(&mut self, mut lines: &[u8]) -> io::Result<()> {
        while !lines.is_empty() {
            let room = usize::try_from(self.rotation.size.saturating_sub(self.size)).unwrap_or(usize::MAX);
            let fits = if lines.len() <= room {
                lines.len()
            } else {
                lines[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1)
            };
            // A line that is longer than a file has one for itself; the rest of a torn one stays with its beginning.
            let line = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
            let now = match fits {
                0 if self.size == 0 || self.torn => line,
                0 => {
                    self.put_aside()?;
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

    fn put_aside(&mut self) -> io::Result<()> {
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

    /// Ends a line that was begun, so that whoever comes next begins one.
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

/// Tells when everything is in the log that came through a pipe.
#[derive(Debug)]
pub(crate) struct Drained(Mutex<Receiver<()>>);

impl Drained {
    /// Waits for it, blocking, but not longer than `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
        // Disconnected means that it is done; so does a timeout, for us.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(timeout);
    }
}

/// Writes what comes through `pipe` into `log` until its other end is closed, on a thread: nothing that the runtime is
/// busy with may hold up a server.
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
    thread::Builder::new().name("log".to_owned()).spawn(work).context("cannot start the thread of a log")?;
    Ok(Drained(Mutex::new(drained)))
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
