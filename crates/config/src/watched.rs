//! Detects changed files by their metadata.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The state of files and directories at one time; equal states mean that nothing has changed. Links are followed, so a
/// swapped link, as Kubernetes uses for updates, is a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(Vec<(PathBuf, Option<Mark>)>);

/// Device, inode, length and time of change.
type Mark = (u64, u64, u64, i64, i64);

impl Fingerprint {
    /// Reads the metadata of each file and of each directory's entries, but no content.
    #[must_use]
    pub fn of(paths: &[PathBuf]) -> Self {
        let mut marks = Vec::new();
        for path in paths {
            marks.push((path.clone(), mark(path)));
            if let Ok(entries) = fs::read_dir(path) {
                let mut inner: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
                inner.sort();
                marks.extend(inner.into_iter().map(|path| (path.clone(), mark(&path))));
            }
        }
        Self(marks)
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}
