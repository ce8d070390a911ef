//! A configuration made from files, made anew once they have changed.
//!
//! Looked at when it is asked for, at most once a second, so that no task has to watch. Files that can't be used leave
//! the configuration as it was, and are tried again as soon as they change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::TlsError;
use super::settings::{Material, TlsSettings};

/// How long the files are taken to be unchanged.
const FRESH: Duration = Duration::from_secs(1);

/// Identifies a version of a file: inode, length and time of change.
type Stamp = [Option<(u64, u64, i64, i64)>; 3];

/// Makes a configuration from what the files hold.
type Build<T> = fn(&TlsSettings, Material) -> Result<T, TlsError>;

/// The configuration and the files that it comes from.
pub(super) struct Reloading<T> {
    settings: TlsSettings,
    build: Build<T>,
    current: Mutex<Current<T>>,
}

struct Current<T> {
    value: Arc<T>,
    /// The files as they were last tried, for good or bad.
    stamp: Stamp,
    looked_at: Instant,
}

impl<T> Reloading<T> {
    /// Makes the first configuration, without which nothing begins.
    pub fn load(settings: &TlsSettings, build: Build<T>) -> Result<Self, TlsError> {
        // Taken before the files are read: what changes in between is seen as a change.
        let stamp = stamp(settings);
        let value = Arc::new(build(settings, Material::read(settings)?)?);
        let current = Current { value, stamp, looked_at: Instant::now() };
        Ok(Self { settings: settings.clone(), build, current: Mutex::new(current) })
    }

    /// The configuration of the present files.
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
