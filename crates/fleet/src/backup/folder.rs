//! A backup's folder and what it holds.
//!
//! ```text
//! backup.json           whose history it is, and the restore points
//! base/<time>/          one base backup: cluster/ as pg_basebackup wrote it, base.json, secrets.json
//! wal/                  the archive: closed segments, and the one that is being written as .partial
//! ```
//!
//! Only `wal/` and each `cluster/` are the servers' user's: what is noted beside them is for nobody else to write.
//! A folder holds one history: that of one cluster on one timeline. So no segment of it can be taken for another's.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail};
use flotilla_servers::Layout;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::session::{Identity, shown};

const NOTE: &str = "backup.json";

/// A name for a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// The name.
    pub name: String,
    /// When, by the cluster's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

#[derive(Serialize, Deserialize)]
struct Note {
    identity: Identity,
    marks: Vec<Mark>,
}

/// What is known of a base backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BaseNote {
    /// From then on it can be restored to any time, by the cluster's clock.
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
    /// What is known of it.
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
    /// When it doesn't.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Self(path.canonicalize().with_context(|| format!("there is no {}", path.display()))?);
        folder.note().with_context(|| format!("{} holds no backup", path.display()))?;
        Ok(folder)
    }

    /// Opens one for a further backup of a history, or makes it for the first one.
    pub fn prepare(layout: &Layout, path: &Path, identity: Identity) -> Result<Self> {
        let note = path.join(NOTE);
        if note.exists() {
            let folder = Self::open(path)?;
            if folder.note()?.identity != identity {
                bail!(
                    "{} holds the history of another cluster, or of this one before a restore: choose a new folder",
                    path.display()
                );
            }
        } else if path.exists() && fs::read_dir(path)?.next().is_some() {
            bail!("{} holds something else than backups: choose a new folder", path.display());
        }
        layout.share(path)?;
        let folder = Self(path.canonicalize()?);
        layout.share(&folder.base())?;
        layout.lend(&folder.wal())?;
        if !note.exists() {
            folder.write(&Note { identity, marks: Vec::new() })?;
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where base backups lie.
    pub fn base(&self) -> PathBuf {
        self.0.join("base")
    }

    /// Where WAL is archived.
    pub fn wal(&self) -> PathBuf {
        self.0.join("wal")
    }

    /// Its restore points, the oldest first.
    pub fn marks(&self) -> Result<Vec<Mark>> {
        Ok(self.note()?.marks)
    }

    /// Notes a restore point.
    pub fn add_mark(&self, mark: Mark) -> Result<()> {
        let mut note = self.note()?;
        note.marks.push(mark);
        self.write(&note)
    }

    /// Complete base backups, the oldest first.
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

    /// The base backup to begin with on the way to a time, or to the end: the newest that ended before.
    pub fn base_for(&self, time: Option<OffsetDateTime>) -> Result<Base> {
        let bases = self.bases()?;
        let Some(oldest) = bases.first().cloned() else { bail!("{} holds no base backup", self.0.display()) };
        let reaches = |base: &Base| time.is_none_or(|time| base.note.ended <= time);
        match bases.into_iter().rfind(reaches) {
            Some(base) => Ok(base),
            None => bail!("the oldest base backup reaches back to {} only", shown(oldest.note.ended)?),
        }
    }

    /// Files of the archive, their size, and when the last was written; `None` where there are none.
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

    /// Removes all but the newest base backups, then the WAL that only those needed. Says which base backups went.
    pub fn thin(&self, keep: usize) -> Result<Vec<String>> {
        let mut bases = self.bases()?;
        let kept = bases.split_off(bases.len().saturating_sub(keep));
        let Some(oldest) = kept.first() else { return Ok(Vec::new()) };
        for base in &bases {
            // Without its note it counts as incomplete, should the removal be interrupted.
            fs::remove_file(base.path.join("base.json"))?;
            fs::remove_dir_all(&base.path)?;
        }
        for entry in fs::read_dir(self.wal())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_segment(&name) && name < oldest.note.first_segment {
                fs::remove_file(entry.path())?;
            }
        }
        let mut note = self.note()?;
        note.marks.retain(|mark| mark.at >= oldest.note.ended);
        self.write(&note)?;
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

/// A closed segment of WAL; on one timeline their names sort as they follow each other.
fn is_segment(name: &str) -> bool {
    name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Writes a file for its owner alone; a reader sees it whole or not at all, also after a power cut.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
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
#[allow(clippy::unwrap_used, reason = "tests are told by a panic")]
mod tests {
    use time::macros::datetime;

    use super::*;

    const IDENTITY: Identity = Identity { cluster: 7, timeline: 1 };

    /// A folder with base backups that ended at the given hours and need the segment of the same number.
    fn folder(room: &Path, hours: &[u8]) -> Folder {
        let folder = Folder(room.to_owned());
        fs::create_dir(folder.wal()).unwrap();
        for hour in hours {
            let path = folder.base().join(format!("hour-{hour}"));
            fs::create_dir_all(path.join("cluster")).unwrap();
            let ended = datetime!(2026-01-01 0:00 UTC).replace_hour(*hour).unwrap();
            let first_segment = segment(*hour);
            let note = BaseNote { ended, first_segment, bytes: 1, seconds: 1.0, postgres: "18".to_owned() };
            fs::write(path.join("base.json"), serde_json::to_vec(&note).unwrap()).unwrap();
            fs::write(folder.wal().join(segment(*hour)), b"").unwrap();
        }
        let mark = Mark { name: "early".to_owned(), at: datetime!(2026-01-01 1:30 UTC) };
        folder.write(&Note { identity: IDENTITY, marks: vec![mark] }).unwrap();
        folder
    }

    fn segment(number: u8) -> String {
        format!("0000000100000000{number:08X}")
    }

    #[test]
    fn a_restore_begins_with_the_newest_backup_that_ended_before_the_time() {
        let room = tempfile::tempdir().unwrap();
        let folder = folder(room.path(), &[1, 2, 3]);
        let base = |time| folder.base_for(time).map(|base| base.name);
        assert_eq!(base(None).unwrap(), "hour-3");
        assert_eq!(base(Some(datetime!(2026-01-01 2:59 UTC))).unwrap(), "hour-2");
        let early = base(Some(datetime!(2026-01-01 0:59 UTC))).unwrap_err().to_string();
        assert!(early.contains("2026-01-01T01:00:00Z"), "{early}");
    }

    #[test]
    fn what_only_old_backups_need_goes_with_them_and_half_a_backup_counts_for_nothing() {
        let room = tempfile::tempdir().unwrap();
        let folder = folder(room.path(), &[1, 2, 3]);
        fs::create_dir_all(folder.base().join("half/cluster")).unwrap();
        fs::write(folder.wal().join(segment(1) + ".partial"), b"").unwrap();
        assert_eq!(folder.thin(2).unwrap(), ["hour-1"]);
        let names = |folder: &Path| {
            let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(&folder.wal()), [segment(1) + ".partial", segment(2), segment(3)].into());
        assert_eq!(folder.bases().unwrap().len(), 2);
        assert!(folder.marks().unwrap().is_empty(), "the point before the oldest backup can't be reached");
        assert!(folder.thin(2).unwrap().is_empty());
    }

    #[test]
    fn another_clusters_backups_and_other_folders_are_refused() {
        let room = tempfile::tempdir().unwrap();
        let layout = Layout::open(&room.path().join(".flotilla")).unwrap();
        let path = room.path().join("backup");
        fs::create_dir(&path).unwrap();
        let refused = |identity| Folder::prepare(&layout, &path, identity).unwrap_err().to_string();
        fs::write(path.join("letter"), b"").unwrap();
        assert!(refused(IDENTITY).contains("something else"));
        fs::remove_file(path.join("letter")).unwrap();
        Folder(path.clone()).write(&Note { identity: IDENTITY, marks: Vec::new() }).unwrap();
        assert!(refused(Identity { timeline: 2, ..IDENTITY }).contains("another cluster"));
    }
}
