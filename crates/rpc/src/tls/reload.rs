//! A configuration that is loaded from files and reloaded when they change.
//!
//! The files are checked on use, at most once a second, so that no task has to watch them. If they can't be used, the
//! configuration stays as it is, and they are tried again when they change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::TlsError;
use super::settings::{Material, TlsSettings};

/// How long the files are assumed to be unchanged.
const FRESH: Duration = Duration::from_secs(1);

/// Identifies a version of a file: inode, length and time of change.
type Stamp = [Option<(u64, u64, i64, i64)>; 3];

/// Builds a configuration from the files' content.
type Build<T> = fn(&TlsSettings, Material) -> Result<T, TlsError>;

/// The configuration and the files that it comes from.
pub(super) struct Reloading<T> {
    settings: TlsSettings,
    build: Build<T>,
    current: Mutex<Current<T>>,
}

struct Current<T> {
    value: Arc<T>,
    /// The versions of the files that were tried last, successfully or not.
    stamp: Stamp,
    looked_at: Instant,
}

impl<T> Reloading<T> {
    /// Loads the first configuration; fails if the files can't be used.
    pub fn load(settings: &TlsSettings, build: Build<T>) -> Result<Self, TlsError> {
        // Taken before the files are read, so that a change in between is detected.
        let stamp = stamp(settings);
        let value = Arc::new(build(settings, Material::read(settings)?)?);
        let current = Current { value, stamp, looked_at: Instant::now() };
        Ok(Self { settings: settings.clone(), build, current: Mutex::new(current) })
    }

    /// The configuration of the current files.
    pub fn get(&self) -> Arc<T> {
        let mut current = self.current.lock();
        if current.looked_at.elapsed() < FRESH {
            return Arc::clone(&current.value);
        }
        current.looked_at = Instant::now();
        let stamp = stamp(&self.settings);
        if stamp != current.stamp {
            current.stamp = stamp;
            match Material::read(&self.settings).and_then(|material| (self.build)(&self.settings, material)) {
                Ok(value) => {
                    current.value = Arc::new(value);
                    tracing::info!(certificate = %self.settings.certificate.display(), "certificate reloaded");
                }
                Err(error) => tracing::warn!(%error, "certificate can't be reloaded, keeping the previous one"),
            }
        }
        Arc::clone(&current.value)
    }
}

fn stamp(settings: &TlsSettings) -> Stamp {
    settings.files().map(|(_, path)| {
        let found = fs::metadata(path).ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    })
}
