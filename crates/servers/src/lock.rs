//! File locks between processes that share a layout. The kernel releases them with their process, so none is ever stale.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(20);

/// Takes the lock; `None` if another holder has it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>> {
    // If the file is removed between opening and locking (by a sweep), the lock would protect nothing.
    for _ in 0..16 {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("cannot open the lock file {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let ours = file.metadata()?.ino();
        if std::fs::metadata(path).is_ok_and(|now| now.ino() == ours) {
            return Ok(Some(file));
        }
    }
    bail!("the lock file {} was removed repeatedly", path.display())
}

/// Waits for the lock; `waiting` is called once if it isn't free at first.
pub(crate) async fn lock_within(path: &Path, deadline: Duration, waiting: impl FnOnce() + Send) -> Result<File> {
    let mut waiting = Some(waiting);
    let until = Instant::now() + deadline;
    loop {
        if let Some(file) = try_lock(path)? {
            return Ok(file);
        }
        if let Some(waiting) = waiting.take() {
            waiting();
        }
        if Instant::now() >= until {
            bail!("another process has held {} for more than {} s", path.display(), deadline.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Like [`lock_within`], for callers without a runtime; for locks that are held for milliseconds.
pub(crate) fn lock_briefly(path: &Path, deadline: Duration) -> Result<File> {
    let until = Instant::now() + deadline;
    loop {
        if let Some(file) = try_lock(path)? {
            return Ok(file);
        }
        if Instant::now() >= until {
            bail!("another process has held {} for more than {} s", path.display(), deadline.as_secs());
        }
        #[expect(clippy::disallowed_methods, reason = "no runtime here, and the wait is bounded")]
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = try_lock(&path).unwrap().unwrap();
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
