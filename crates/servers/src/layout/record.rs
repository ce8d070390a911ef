//! The record of the user and home that root chose for the servers.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::run_as::RunAs;

/// Parent of homes that can't be under `.flotilla`. Unlike /tmp it survives a reboot and is rarely in memory.
pub(super) const SHARED: &str = "/var/tmp";

/// The user that root's servers run as, and their home.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    /// The folder that this record belongs to: a copied clone must not share the home of the original.
    pub root: PathBuf,
    pub run_as: RunAs,
    pub home: PathBuf,
}

/// Root's choice of user and home: the recorded one if it is still valid, else a new one.
pub(super) fn as_root(root: &Path) -> Result<Record> {
    let path = root.join("run-as.json");
    let known = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
    if let Some(record) = known
        && record.root == root
        && record.run_as.still_exists()
        && still_fits(root, &record)
    {
        return Ok(record);
    }
    let run_as = RunAs::choose()?;
    let reachable = root.parent().is_none_or(|parent| run_as.may_reach(parent));
    let home = if reachable {
        std::os::unix::fs::chown(root, None, Some(run_as.gid))?;
        std::fs::set_permissions(root, Permissions::from_mode(0o710))?;
        root.join("servers")
    } else {
        fresh_home(&run_as)?
    };
    let record = Record { root: root.to_owned(), run_as, home };
    let text = serde_json::to_vec_pretty(&record)?;
    let new = root.join("run-as.json.new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, &path)?;
    Ok(record)
}

/// A home inside `root` must still be reachable. One outside must still exist, be owned by the user and be private, so
/// that nobody can have replaced it.
fn still_fits(root: &Path, record: &Record) -> bool {
    if record.home == root.join("servers") {
        return record.run_as.may_reach(root);
    }
    std::fs::symlink_metadata(&record.home).is_ok_and(|home| {
        home.is_dir()
            && home.uid() == record.run_as.uid
            && home.mode() & 0o777 == 0o700
            && record.home.parent().is_some_and(|parent| record.run_as.may_reach(parent))
    })
}

fn fresh_home(run_as: &RunAs) -> Result<PathBuf> {
    let home = tempfile::Builder::new()
        .prefix("flotilla-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(SHARED)
        .with_context(|| format!("cannot create a folder under {SHARED} for the user {}", run_as.user))?
        .keep();
    run_as.own(&home)?;
    Ok(home)
}
