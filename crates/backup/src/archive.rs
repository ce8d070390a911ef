//! Controls the WAL archive: the fleet's supervisor keeps `pg_receivewal` running.
//!
//! A replication slot retains WAL that isn't archived yet, so that a pause of the fleet or the receiver leaves no gap.
//! It doesn't exist before the first backup.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use flotilla_servers::Layout;
use time::OffsetDateTime;
use tokio::process::Command;

use crate::{
    folder::{Folder, RestorePoint, write_whole},
    paths::FleetPaths,
    session::{Session, connect},
};

/// Name of the receiver as a member of the fleet, and of its log.
pub const NAME: &str = "archive";
/// Its replication slot and application name.
const SLOT: &str = "flotilla_archive";
/// How long to wait for the receiver to stream, flush or end.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(30);

/// The backup's folder to which a fleet's WAL is archived, if any; `fleet` is the fleet's folder.
#[must_use]
pub fn folder(fleet: &Path) -> Option<PathBuf> {
    fs::read_to_string(marker(fleet)).ok().filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Stops archiving.
///
/// # Errors
/// When the marker can't be removed.
pub fn forget(fleet: &Path) -> Result<()> {
    match fs::remove_file(marker(fleet)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn marker(fleet: &Path) -> PathBuf {
    fleet.join(NAME)
}

/// Starts archiving to a folder and waits until WAL arrives there. Does nothing if it does already.
///
/// # Errors
/// When WAL is archived to another folder, the folder's archive was stopped, or WAL doesn't arrive in time.
pub async fn start(paths: &FleetPaths, session: &Session, backup: &Folder) -> Result<()> {
    match folder(&paths.folder) {
        Some(present) if present != backup.path() => {
            let path = present.display();
            bail!("WAL is archived to {path}: continue there, or run `fleet backup {path} --stop` first");
        }
        Some(_) => {}
        None => {
            // An existing archive must continue without a gap, but a new slot begins now.
            if backup.archived()?.is_some() {
                bail!(
                    "{} has an archive that was stopped and lacks all WAL since then: choose a new folder",
                    backup.path().display()
                );
            }
            let slot = "SELECT pg_create_physical_replication_slot($1, true)
                        WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)";
            session.execute(slot, &[&SLOT]).await?;
            let path = backup.path().to_str().context("the folder's path is not UTF-8")?;
            write_whole(&marker(&paths.folder), path.as_bytes())?;
        }
    }
    let failure = "WAL doesn't reach the archive: run `fleet logs archive` to see why";
    until(failure, async || is_streaming(session).await).await
}

/// Whether WAL reaches the archive.
pub async fn streams(url: &str) -> bool {
    let ask = async { is_streaming(&Session::connect(url).await?).await };
    ask.await.unwrap_or(false)
}

async fn is_streaming(session: &Session) -> Result<bool> {
    let sql = "SELECT count(*) > 0 FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'";
    Ok(session.one(sql, &[&SLOT]).await?.try_get(0)?)
}

/// The result of a stop.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing was archived.
    Nothing,
    /// WAL was archived to this folder.
    Archive(PathBuf),
    /// WAL wasn't archived, but PostgreSQL retained it for an archive.
    Slot,
}

/// Stops archiving and drops the replication slot.
///
/// # Errors
/// If PostgreSQL doesn't respond, or the receiver doesn't end in time.
pub async fn stop(paths: &FleetPaths, url: &str) -> Result<Stopped> {
    // Read before anything is removed, so that a failed stop can be repeated.
    let session = Session::connect(url).await?;
    let present = folder(&paths.folder);
    forget(&paths.folder)?;
    let is_gone = "SELECT count(*) = 0 FROM pg_replication_slots WHERE slot_name = $1";
    let gone: bool = session.one(is_gone, &[&SLOT]).await?.try_get(0)?;
    if present.is_none() && gone {
        return Ok(Stopped::Nothing);
    }
    let drop =
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active";
    let gone = async || {
        session.execute(drop, &[&SLOT]).await?;
        Ok(session.one(is_gone, &[&SLOT]).await?.try_get(0)?)
    };
    until("the WAL receiver doesn't end: run `fleet logs archive` to see why", gone).await?;
    Ok(present.map_or(Stopped::Slot, Stopped::Archive))
}

/// Names the current moment, and waits until the archive contains it.
///
/// # Errors
/// When the name can't be one or is taken, WAL isn't archived to the folder, or the point doesn't arrive in time.
pub async fn add_restore_point(paths: &FleetPaths, url: &str, backup: &Folder, name: &str) -> Result<RestorePoint> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        bail!("invalid name {name:?} of a restore point: use 1 to 63 letters, digits, '-', '_' or '.'");
    }
    if folder(&paths.folder).as_deref() != Some(backup.path()) {
        bail!("WAL isn't archived to {}: take a backup there first", backup.path().display());
    }
    if backup.restore_points()?.iter().any(|mark| mark.name == name) {
        bail!("the restore point {name} already exists");
    }
    let session = Session::connect(url).await?;
    // PostgreSQL stops at the first point of a name, and an attempt that failed may have left one.
    let sql = "WITH point AS MATERIALIZED (SELECT left($1, 26) || '-' || gen_random_uuid() AS name)
               SELECT name, pg_create_restore_point(name)::text, clock_timestamp() FROM point";
    let row = session.one(sql, &[&name]).await?;
    let (point, place, at): (String, String, OffsetDateTime) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let sql =
        "SELECT count(*) > 0 FROM pg_stat_replication WHERE application_name = $1 AND flush_lsn >= $2::text::pg_lsn";
    let arrived = async || Ok(session.one(sql, &[&SLOT, &place]).await?.try_get(0)?);
    until("the restore point doesn't reach the archive: run `fleet logs archive` to see why", arrived).await?;
    let mark = RestorePoint { name: name.to_owned(), point: Some(point), at };
    backup.add_restore_point(mark.clone())?;
    Ok(mark)
}

async fn until(failure: &str, mut done: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let wait = async {
        while !done().await? {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, wait).await.with_context(|| failure.to_owned())?
}

/// The command that receives WAL from the cluster at `url` into a backup's folder; `program` is `pg_receivewal`.
///
/// # Errors
/// If the URL has no password.
pub fn receiver(layout: &Layout, program: &Path, url: &str, backup: &Path) -> Result<Command> {
    let mut command = layout.command(program);
    // Synchronous: received WAL is flushed at once and reported to PostgreSQL. The supervisor restarts the receiver.
    command.args(["--synchronous", "--no-loop", "--no-password", "--slot", SLOT, "--directory"]);
    command.arg(backup.join("wal"));
    connect(&mut command, url, SLOT)?;
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_query_without_a_response_times_out() {
        let failure = until("it hangs", std::future::pending).await;
        assert!(failure.is_err_and(|error| error.to_string() == "it hangs"));
    }
}
