//! A backup's folder and its content.
//!
//! ```text
//! backup.json           the cluster and timeline, and the restore points
//! base/<time>/          one base backup: cluster/ as pg_basebackup wrote it, base.json, secrets.json
//! wal/                  the archive: closed segments, and the one that is being written as .partial
//! note.lock, base.lock  held while backup.json is changed, and while a base backup is taken
//! ```
//!
//! Only `wal/` and each `cluster/` belong to the servers' user, which can't write the files beside them. A folder holds
//! the history of one cluster on one timeline, so that segments of different histories are never mixed up.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail};
use flotilla_servers::Layout;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    session::{Identity, format_time},
    wal::is_segment,
};

const NOTE: &str = "backup.json";

/// A named moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestorePoint {
    /// The name.
    pub name: String,
    /// Its name in PostgreSQL; absent in older backups, where it is the same.
    #[serde(default)]
    pub point: Option<String>,
    /// The time by the cluster's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

#[derive(Serialize, Deserialize)]
struct Note {
    identity: Identity,
    marks: Vec<RestorePoint>,
}

/// The record of a base backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BaseNote {
    /// The earliest time to which it can be restored, by the cluster's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub ended: OffsetDateTime,
    /// The first segment of WAL that it needs.
    pub first_segment: String,
    /// Its size.
    pub bytes: u64,
    /// How long it took, verification included.
    pub seconds: f64,
    /// PostgreSQL's version.
    pub postgres: String,
}

/// One base backup.
#[derive(Clone, Debug)]
pub struct Base {
    /// Its folder's name: the time at which it was begun.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// Its record.
    pub note: BaseNote,
}

impl Base {
    /// The data folder as it was copied.
    pub fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    /// The fleet's credentials at that time.
    pub fn secrets(&self) -> PathBuf {
        self.path.join("secrets.json")
    }
}

/// A backup's folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Opens one that holds a backup.
    ///
    /// # Errors
    /// If it doesn't.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Self(path.canonicalize().with_context(|| format!("{} doesn't exist", path.display()))?);
        folder.note().with_context(|| format!("{} contains no backup", path.display()))?;
        Ok(folder)
    }

    /// Opens a folder for another backup of its history, or creates it for the first one.
    pub fn prepare(layout: &Layout, path: &Path, identity: Identity) -> Result<Self> {
        let note = path.join(NOTE);
        if note.exists() {
            let folder = Self::open(path)?;
            if folder.note()?.identity != identity {
                bail!(
                    "{} contains the history of another cluster, or of this one before a restore: choose a new folder",
                    path.display()
                );
            }
        } else if path.exists() && fs::read_dir(path)?.next().is_some() {
            bail!("{} contains other files than backups: choose a new folder", path.display());
        }
        layout.create_traversable(path)?;
        let folder = Self(path.canonicalize()?);
        layout.create_traversable(&folder.base())?;
        layout.create_writable(&folder.wal())?;
        if !note.exists() {
            folder.write(&Note { identity, marks: Vec::new() })?;
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of the base backups.
    pub fn base(&self) -> PathBuf {
        self.0.join("base")
    }

    /// The folder of the WAL archive.
    pub fn wal(&self) -> PathBuf {
        self.0.join("wal")
    }

    /// Its restore points, oldest first.
    pub fn restore_points(&self) -> Result<Vec<RestorePoint>> {
        Ok(self.note()?.marks)
    }

    /// Records a restore point.
    pub fn add_restore_point(&self, mark: RestorePoint) -> Result<()> {
        self.change_restore_points(|marks| marks.push(mark))
    }

    fn change_restore_points(&self, change: impl FnOnce(&mut Vec<RestorePoint>)) -> Result<()> {
        let lock = self.lock_file("note.lock")?;
        lock.lock().context("can't lock the backup's record")?;
        let mut note = self.note()?;
        change(&mut note.marks);
        self.write(&note)
    }

    /// Locks the folder for taking a base backup until the returned lock is dropped.
    ///
    /// # Errors
    /// If one is being taken.
    pub fn claim(&self) -> Result<fs::File> {
        let lock = self.lock_file("base.lock")?;
        if lock.try_lock().is_err() {
            bail!("another base backup is being taken in {}", self.0.display());
        }
        Ok(lock)
    }

    fn lock_file(&self, name: &str) -> Result<fs::File> {
        let path = self.0.join(name);
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        file.with_context(|| format!("can't open {}", path.display()))
    }

    /// Complete base backups, oldest first.
    pub fn bases(&self) -> Result<Vec<Base>> {
        let mut bases = Vec::new();
        for entry in fs::read_dir(self.base())? {
            let path = entry?.path();
            let Ok(note) = fs::read(path.join("base.json")) else { continue };
            let note = serde_json::from_slice(&note).with_context(|| format!("{} is damaged", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            bases.push(Base { name, path, note });
        }
        bases.sort_by_key(|base| base.note.ended);
        Ok(bases)
    }

    /// The base backup from which to restore to a time, or to the end: the newest that ended before it.
    pub fn base_for(&self, time: Option<OffsetDateTime>) -> Result<Base> {
        let bases = self.bases()?;
        let Some(oldest) = bases.first().cloned() else { bail!("{} contains no base backup", self.0.display()) };
        let reaches = |base: &Base| time.is_none_or(|time| base.note.ended <= time);
        match bases.into_iter().rfind(reaches) {
            Some(base) => Ok(base),
            None => bail!("the oldest base backup only reaches back to {}", format_time(oldest.note.ended)?),
        }
    }

    /// The number and size of the archive's files, and when the last was written; `None` if there are none.
    pub fn archived(&self) -> Result<Option<(usize, u64, OffsetDateTime)>> {
        let (mut files, mut bytes, mut last) = (0, 0, SystemTime::UNIX_EPOCH);
        for entry in fs::read_dir(self.wal())? {
            let about = entry?.metadata()?;
            files += 1;
            bytes += about.len();
            last = last.max(about.modified()?);
        }
        Ok((files > 0).then_some((files, bytes, last.into())))
    }

    /// Removes all but the newest base backups, the remains of aborted ones, and the WAL that only those needed.
    /// Returns the complete ones that were removed. Must not run while one is being taken: see [`claim`](Self::claim).
    pub fn thin(&self, keep: usize) -> Result<Vec<String>> {
        let mut bases = self.bases()?;
        let kept = bases.split_off(bases.len().saturating_sub(keep));
        let Some(oldest) = kept.first() else { return Ok(Vec::new()) };
        for base in &bases {
            // Without its note it counts as incomplete, should the removal be interrupted.
            fs::remove_file(base.path.join("base.json"))?;
            fs::remove_dir_all(&base.path)?;
        }
        for entry in fs::read_dir(self.base())? {
            let path = entry?.path();
            if path.is_dir() && !path.join("base.json").exists() {
                fs::remove_dir_all(path)?;
            }
        }
        for entry in fs::read_dir(self.wal())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_segment(&name) && name < oldest.note.first_segment {
                fs::remove_file(entry.path())?;
            }
        }
        self.change_restore_points(|marks| marks.retain(|mark| mark.at >= oldest.note.ended))?;
        Ok(bases.into_iter().map(|base| base.name).collect())
    }

    fn note(&self) -> Result<Note> {
        let bytes = fs::read(self.0.join(NOTE))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    fn write(&self, note: &Note) -> Result<()> {
        write_whole(&self.0.join(NOTE), &serde_json::to_vec_pretty(note)?)
    }
}

/// Writes a file atomically, readable only by its owner, even across a power failure.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let fresh = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
