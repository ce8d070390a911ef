//! The archive of WAL: what is asked of the supervisor, which keeps `pg_receivewal` running.
//!
//! A replication slot holds back WAL that isn't archived yet, so that a pause, of the fleet or of the receiver, leaves
//! no gap. Nothing of it exists before the first backup.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use time::OffsetDateTime;

use super::{
    folder::{Folder, Mark},
    session::{Session, shown},
};
use crate::{home::Home, state::State};

/// What the receiver is called: on the board, of its log, of its slot and to PostgreSQL.
pub const NAME: &str = "archive";
/// Its replication slot, and what it calls itself to PostgreSQL.
pub const SLOT: &str = "flotilla_archive";
/// The receiver streams, has flushed or has ended within this time, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(30);

/// The backup's folder to which WAL is archived, where it is.
#[must_use]
pub fn folder(home: &Home) -> Option<PathBuf> {
    fs::read_to_string(marker(home)).ok().filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Archives no longer.
///
/// # Errors
/// When the marker can't be removed.
pub fn forget(home: &Home) -> Result<()> {
    match fs::remove_file(marker(home)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn marker(home: &Home) -> PathBuf {
    home.root().join(NAME)
}

/// Begins to archive to a folder, and waits until WAL arrives there. Nothing happens where it does already.
pub async fn start(home: &Home, session: &Session, backup: &Folder) -> Result<()> {
    match folder(home) {
        Some(present) if present != backup.path() => {
            let path = present.display();
            bail!("WAL is archived to {path}: go on there, or run `fleet backup {path} --stop` first");
        }
        Some(_) => {}
        None => {
            // What is archived already must go on without a gap; a slot that is new begins now.
            if backup.archived()?.is_some() {
                bail!(
                    "{} has an archive that was stopped: what happened since is not in it; choose a new folder",
                    backup.path().display()
                );
            }
            let slot = "SELECT pg_create_physical_replication_slot($1, true)
                        WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)";
            session.execute(slot, &[&SLOT]).await?;
            let path = backup.path().to_str().context("the folder's path is no text")?;
            home.write_private(&marker(home), path.as_bytes())?;
        }
    }
    let failure = "WAL doesn't get to the archive: `fleet logs archive` tells more";
    until(failure, async || is_streaming(session).await).await
}

/// Whether WAL gets to the archive.
pub async fn streams(url: &str) -> bool {
    let ask = async { is_streaming(&Session::connect(url).await?).await };
    ask.await.unwrap_or(false)
}

async fn is_streaming(session: &Session) -> Result<bool> {
    let sql = "SELECT count(*) > 0 FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'";
    Ok(session.one(sql, &[&SLOT]).await?.try_get(0)?)
}

/// Ends the archive, and lets PostgreSQL forget what it held back for it.
pub async fn stop(home: &Home, state: &State) -> Result<()> {
    // Asked before anything is forgotten, so that a stop that fails can be repeated.
    let session = Session::open(state).await?;
    let present = folder(home);
    forget(home)?;
    let is_gone = "SELECT count(*) = 0 FROM pg_replication_slots WHERE slot_name = $1";
    let gone: bool = session.one(is_gone, &[&SLOT]).await?.try_get(0)?;
    if present.is_none() && gone {
        println!("WAL isn't archived");
        return Ok(());
    }
    let drop =
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active";
    let gone = async || {
        session.execute(drop, &[&SLOT]).await?;
        Ok(session.one(is_gone, &[&SLOT]).await?.try_get(0)?)
    };
    until("the receiver of WAL doesn't end: `fleet logs archive` tells more", gone).await?;
    match present {
        Some(folder) => println!("WAL is archived to {} no longer; what it holds stays", folder.display()),
        None => println!("WAL isn't archived; PostgreSQL holds nothing back for an archive any more"),
    }
    Ok(())
}

/// Names the present moment, and waits until the archive has it.
pub async fn mark(home: &Home, state: &State, backup: &Folder, name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        bail!("a restore point's name is 1 to 63 letters, digits, '-', '_' or '.': {name:?}");
    }
    if folder(home).as_deref() != Some(backup.path()) {
        bail!("WAL isn't archived to {}: take a backup there first", backup.path().display());
    }
    if backup.marks()?.iter().any(|mark| mark.name == name) {
        bail!("there is a restore point {name} already");
    }
    let session = Session::open(state).await?;
    // PostgreSQL stops at the first point of a name, and an attempt that failed may have left one.
    let sql = "WITH point AS MATERIALIZED (SELECT left($1, 26) || '-' || gen_random_uuid() AS name)
               SELECT name, pg_create_restore_point(name)::text, clock_timestamp() FROM point";
    let row = session.one(sql, &[&name]).await?;
    let (point, place, at): (String, String, OffsetDateTime) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let sql =
        "SELECT count(*) > 0 FROM pg_stat_replication WHERE application_name = $1 AND flush_lsn >= $2::text::pg_lsn";
    let arrived = async || Ok(session.one(sql, &[&SLOT, &place]).await?.try_get(0)?);
    until("the restore point doesn't get to the archive: `fleet logs archive` tells more", arrived).await?;
    backup.add_mark(Mark { name: name.to_owned(), point: Some(point), at })?;
    println!("restore point {name} at {}", shown(at)?);
    Ok(())
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

/// Where the receiver writes.
#[must_use]
pub fn wal(backup: &Path) -> PathBuf {
    backup.join("wal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_question_that_nobody_answers_is_not_waited_for_forever() {
        let failure = until("it hangs", std::future::pending).await;
        assert!(failure.is_err_and(|error| error.to_string() == "it hangs"));
    }
}
