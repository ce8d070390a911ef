//! Restores the databases of a stopped fleet to a point in time, in a new cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use flotilla_messaging::NatsSettings;
use flotilla_servers::{Postgres, PostgresOptions, Recovery, Target, provision};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use crate::{
    archive, base,
    folder::{Base, Folder, write_whole},
    paths::FleetPaths,
    session::Session,
    streams::{self, Broker},
    wal,
};

/// The timeout of a replay.
const PATIENCE: Duration = Duration::from_secs(6 * 3_600);

/// The record of how far back the last restore went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rewind {
    #[serde(with = "time::serde::rfc3339")]
    from: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    to: OffsetDateTime,
}

/// The point to restore to.
#[derive(Clone, Debug)]
pub enum Point {
    /// The end of the archive.
    End,
    /// The last transaction committed by this time, such as `2026-01-31T12:00:00Z`.
    Time(String),
    /// A restore point by its name.
    Name(String),
}

/// A point that can be restored, and the base backup to start from.
pub struct Plan {
    folder: Folder,
    base: Base,
    target: Target,
}

impl Plan {
    /// Plans the restore to a point.
    ///
    /// # Errors
    /// If the backup's folder doesn't contain the point.
    pub fn new(folder: Folder, point: &Point) -> Result<Self> {
        let (target, time) = target_of(&folder, point)?;
        let base = folder.base_for(time)?;
        Ok(Self { folder, base, target })
    }

    /// The base backup.
    #[must_use]
    pub fn base(&self) -> &Base {
        &self.base
    }

    fn recovery(&self) -> Result<Recovery> {
        Ok(Recovery {
            base: self.base.cluster(),
            archive: self.folder.archived()?.is_some().then(|| self.folder.wal()),
            target: self.target.clone(),
            start_timeout: PATIENCE,
        })
    }
}

/// The result of a restore.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The time of the last transaction that was restored.
    pub to: OffsetDateTime,
    /// How many streams were deleted.
    pub streams: usize,
    /// The folder of the previous data, if there were any.
    pub aside: Option<PathBuf>,
}

/// Restores a stopped fleet, whose lock the caller must hold until the end. `password` is the superuser's in the
/// backup; `broker` is called once the backup's credentials are in place; `show` is called with a line for each step.
///
/// # Errors
/// If the base backup is damaged, the point can't be reached, or a server fails. Until the replay has succeeded, the
/// current data are unchanged; after that, [`unfinished`] is true until a restore has completed.
pub async fn run(
    paths: &FleetPaths,
    plan: &Plan,
    password: String,
    broker: impl FnOnce() -> Result<Broker>,
    show: &(dyn Fn(&str) + Send + Sync),
) -> Result<Restored> {
    let layout = paths.layout()?;
    base::verify(&layout, &plan.base.cluster()).await?;
    let binaries = provision(&layout, show).await?;
    show(&format!("replaying from the base backup {}", plan.base.name));
    let recovery = plan.recovery()?;
    let options = PostgresOptions { password: Some(password), ..PostgresOptions::default() };
    let mut postgres = Postgres::recover(&binaries, &layout, &paths.postgres, &recovery, options).await?;
    let to = verify(&postgres, paths, plan).await?;
    postgres.stop().await?;

    // From here on the parts are inconsistent: until the end, `up` refuses, and another restore repeats all of it.
    write_whole(&unfinished_marker(&paths.folder), b"")?;
    let stamp = now().format(format_description!("[year][month][day]T[hour][minute][second]Z"))?;
    let aside = postgres.replace_current(&stamp)?;
    take_over_secrets(paths, &plan.base, &stamp)?;
    let streams = streams::delete(paths, &binaries, broker()?).await?;
    archive::forget(&paths.folder)?;
    write_whole(&rewind_file(&paths.folder), &serde_json::to_vec(&Rewind { from: now(), to })?)?;
    fs::remove_file(unfinished_marker(&paths.folder))?;
    Ok(Restored { to, streams, aside })
}

/// PostgreSQL's recovery target, and the time by which the base backup is chosen.
fn target_of(folder: &Folder, point: &Point) -> Result<(Target, Option<OffsetDateTime>)> {
    match point {
        Point::End => Ok((Target::End, None)),
        Point::Time(text) => {
            let time = OffsetDateTime::parse(text, &Rfc3339)
                .with_context(|| format!("{text:?} isn't a time; use the form 2026-01-31T12:00:00Z"))?;
            Ok((Target::Time(as_postgres_reads(time)?), Some(time)))
        }
        Point::Name(name) => {
            let marks = folder.restore_points()?;
            let Some(mark) = marks.iter().find(|mark| mark.name == *name) else {
                let known: Vec<_> = marks.iter().map(|mark| mark.name.as_str()).collect();
                bail!("unknown restore point {name:?}; use one of {}", known.join(", "));
            };
            let point = mark.point.as_ref().unwrap_or(&mark.name);
            Ok((Target::Name(point.clone()), Some(mark.at)))
        }
    }
}

/// A starting server doesn't know names of time zones, not even `Z`.
fn as_postgres_reads(time: OffsetDateTime) -> Result<String> {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]+00");
    Ok(time.to_offset(time::UtcOffset::UTC).format(form)?)
}

/// Checks that it is the fleet's cluster, and complete if the end was asked for; returns the time of its last
/// transaction.
async fn verify(postgres: &Postgres, paths: &FleetPaths, plan: &Plan) -> Result<OffsetDateTime> {
    let session = Session::connect(&postgres.url("postgres")).await?;
    // PostgreSQL takes a missing or damaged segment for the end of the archive.
    if plan.target == Target::End
        && let Some(newest) = wal::newest(&plan.folder.wal())?
    {
        let segment = "SELECT pg_walfile_name(pg_current_wal_lsn())";
        let reached: String = session.one(segment, &[]).await?.try_get(0)?;
        if !wal::is_whole(&reached, &newest) {
            bail!(
                "the replay ended in segment {} although the archive goes on to {}: a segment between them is missing or damaged; \
                 `--to` a time before it restores what comes before",
                &reached[8..],
                &newest[8..]
            );
        }
    }
    for database in &paths.databases {
        let known = "SELECT count(*) FROM pg_database WHERE datname = $1";
        let count: i64 = session.one(known, &[&database]).await?.try_get(0)?;
        if count != 1 {
            bail!("the backup has no database {database}");
        }
    }
    let last: Option<OffsetDateTime> = session.one("SELECT pg_last_xact_replay_timestamp()", &[]).await?.try_get(0)?;
    Ok(last.unwrap_or(plan.base.note.ended))
}

/// Installs the backup's credentials, which match the cluster's passwords; a copy of others is kept.
fn take_over_secrets(paths: &FleetPaths, base: &Base, stamp: &str) -> Result<()> {
    let kept = fs::read(base.secrets())?;
    match fs::read(&paths.secrets) {
        Ok(present) if present == kept => return Ok(()),
        Ok(_) => fs::rename(&paths.secrets, paths.folder.join(format!("secrets.before-{stamp}.json")))?,
        Err(_) => {}
    }
    write_whole(&paths.secrets, &kept)
}

/// Whether a restore was interrupted and left the fleet inconsistent; `fleet` is the fleet's folder.
#[must_use]
pub fn unfinished(fleet: &Path) -> bool {
    unfinished_marker(fleet).exists()
}

/// Removes the records of restores and the credentials that they kept, and stops archiving WAL.
///
/// # Errors
/// When one can't be removed.
pub fn forget(fleet: &Path) -> Result<()> {
    archive::forget(fleet)?;
    let is_old = |name: &str| name.starts_with("secrets.before-");
    let old = fs::read_dir(fleet)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let old = old.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_old));
    for path in old.chain([unfinished_marker(fleet), rewind_file(fleet)]) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// How long outboxes must keep their rows after a restore: longer by as much as the restore went back. Inboxes then
/// remember that much further back and don't park messages in flight at that time as too old. `None` without a restore,
/// and once those messages must have arrived.
#[must_use]
pub fn retention(fleet: &Path) -> Option<Duration> {
    let usual = NatsSettings::default().retention.outbox.0;
    let rewind = fs::read(rewind_file(fleet)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())?;
    longer(rewind, now(), usual)
}

fn longer(rewind: Rewind, now: OffsetDateTime, usual: Duration) -> Option<Duration> {
    let back: Duration = (rewind.from - rewind.to).try_into().ok()?;
    let since: Duration = (now - rewind.from).try_into().ok()?;
    (since < usual * 2).then_some(usual + back)
}

fn unfinished_marker(fleet: &Path) -> PathBuf {
    fleet.join("restoring")
}

fn rewind_file(fleet: &Path) -> PathBuf {
    fleet.join("restored.json")
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_recovery_target_time_has_no_time_zone_name() {
        let time = datetime!(2026-01-31 13:00:00.25 +01:00);
        assert_eq!(as_postgres_reads(time).unwrap_or_default(), "2026-01-31 12:00:00.250000+00");
    }

    #[test]
    fn messages_in_flight_at_an_old_restore_point_are_not_too_old() {
        let usual = Duration::from_secs(48 * 3_600);
        let rewind = Rewind { from: datetime!(2026-01-11 0:00 UTC), to: datetime!(2026-01-01 0:00 UTC) };
        let week = Duration::from_secs(12 * 24 * 3_600);
        assert_eq!(longer(rewind, datetime!(2026-01-11 0:01 UTC), usual), Some(week));
        assert_eq!(longer(rewind, datetime!(2026-01-15 0:01 UTC), usual), None);
    }
}
