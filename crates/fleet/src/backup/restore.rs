//! `fleet restore`: the databases at a point in time, in a new cluster, in a fleet that is down.

use std::{
    fs::{self, OpenOptions},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use flotilla_messaging::NatsSettings;
use flotilla_servers::{External, Layout, Postgres, PostgresOptions, Recovery, Target, data_below, provision};
use flotilla_terminal::bold;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};
use tokio::time::Instant;

use super::{
    archive, base, broker,
    folder::{Base, Folder},
    own, refuse_other,
    session::{Session, shown},
    wal,
};
use crate::{DATABASES, consent::Consent, home::Home, secrets::Secrets};

/// A replay that takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(6 * 3_600);

/// Options of `fleet restore`.
#[derive(Debug, Args)]
pub struct Options {
    /// The backup's folder.
    pub folder: PathBuf,
    /// To the last transaction that was committed by then: `2026-01-31T12:00:00Z`. To the end of the archive where absent.
    #[arg(long, value_name = "TIME", conflicts_with = "to_name")]
    pub to: Option<String>,
    /// To a restore point that `fleet backup --mark` made.
    #[arg(long, value_name = "NAME")]
    pub to_name: Option<String>,
    /// Whether present data may be replaced without asking.
    #[command(flatten)]
    pub consent: Consent,
}

/// How far back the last restore went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Jump {
    #[serde(with = "time::serde::rfc3339")]
    from: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    to: OffsetDateTime,
}

/// Restores, and says what became of the old data.
///
/// # Errors
/// When the fleet is up, the point can't be reached, or a server fails. Until the replay has succeeded the present data
/// are as they were; after that `up` refuses until a restore has gone through.
pub async fn run(home: &Home, options: Options) -> Result<()> {
    refuse_other(home)?;
    // Held to the end, so that no supervisor starts meanwhile.
    let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(home.lock())?;
    if lock.try_lock().is_err() {
        bail!("the fleet is up: run `make down` first");
    }
    let began = Instant::now();
    let folder = Folder::open(&options.folder)?;
    let (target, time) = aim(&folder, &options)?;
    let base = folder.base_for(time)?;
    options.consent.ask(home, &typed(&options), &losses(home)?)?;
    home.remember_place()?;
    base::verify(home, &base.cluster()).await?;
    let secrets: Secrets = serde_json::from_slice(&fs::read(base.secrets())?).context("secrets.json is damaged")?;
    let layout = Layout::open(home.servers())?;
    let binaries = provision(&layout, &|line: &str| println!("{line}")).await?;
    let recovery = Recovery {
        base: base.cluster(),
        archive: folder.archived()?.is_some().then(|| folder.wal()),
        target,
        patience: PATIENCE,
    };
    println!("replaying from the base backup {}", bold(&base.name));
    let password = Some(secrets.postgres_password.clone());
    let own = PostgresOptions { password, ..PostgresOptions::default() };
    let mut postgres = Postgres::recover(&binaries, &layout, &home.server_name("postgres"), &recovery, own).await?;
    let reached = look(&postgres, &base, &folder, &recovery).await?;
    postgres.stop().await?;

    // From here to the end the parts don't fit together: `up` refuses, and another restore goes over it again.
    home.write_private(&unfinished_marker(home), b"")?;
    let stamp = now().format(format_description!("[year][month][day]T[hour][minute][second]Z"))?;
    let aside = postgres.take_place(&stamp)?;
    take_over_secrets(home, &base, &stamp)?;
    let streams = broker::forget(home, &layout, &binaries).await?;
    archive::forget(home)?;
    home.write_private(&jump_file(home), &serde_json::to_vec(&Jump { from: now(), to: reached })?)?;
    fs::remove_file(unfinished_marker(home))?;

    println!(
        "restored to {} in {:.1} s; {streams} streams forgotten",
        bold(&shown(reached)?),
        began.elapsed().as_secs_f64()
    );
    if let Some(aside) = aside {
        let before =
            format!("the data before: {} (remove it when nobody needs it; `make reset` does too)", aside.display());
        println!("{}", home.naming(&before));
    }
    let next = "WAL isn't archived any more: begin a new backup, in a new folder, when the fleet is up (`make up`)";
    println!("{}", home.naming(next));
    Ok(())
}

/// The command as the user typed it.
fn typed(options: &Options) -> String {
    let to = options.to.as_ref().map(|to| format!(" --to {to}"));
    let to = to.or_else(|| options.to_name.as_ref().map(|name| format!(" --to-name {name}"))).unwrap_or_default();
    format!("restore {}{to}", options.folder.display())
}

/// What the restore replaces or deletes.
fn losses(home: &Home) -> Result<Vec<String>> {
    let mut losses = Vec::new();
    let data = data_below(home.servers(), &home.server_name("postgres"));
    if let Some(data) = data.filter(|data| data.join("cluster").exists()) {
        losses.push(format!("the present state of the databases in {} (put aside there)", data.display()));
    }
    match own::agreed(home, External::from_env())?.nats {
        Some(_) => {
            losses.push("the streams of your own NATS (FLOTILLA_USE_NATS_URL), which are filled again".to_owned());
        }
        None => {
            let data = data_below(home.servers(), &home.server_name("nats"));
            losses.extend(data.map(|data| format!("the streams in {}, which are filled again", data.display())));
        }
    }
    Ok(losses)
}

/// What PostgreSQL is told, and the time by which the base backup is chosen.
fn aim(folder: &Folder, options: &Options) -> Result<(Target, Option<OffsetDateTime>)> {
    if let Some(name) = &options.to_name {
        let marks = folder.marks()?;
        let Some(mark) = marks.iter().find(|mark| mark.name == *name) else {
            let known: Vec<_> = marks.iter().map(|mark| mark.name.as_str()).collect();
            bail!("there is no restore point {name:?} in reach; there are: {}", known.join(", "));
        };
        let point = mark.point.as_ref().unwrap_or(&mark.name);
        return Ok((Target::Name(point.clone()), Some(mark.at)));
    }
    let Some(text) = &options.to else { return Ok((Target::End, None)) };
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .with_context(|| format!("{text:?} is no time such as 2026-01-31T12:00:00Z"))?;
    Ok((Target::Time(as_postgres_reads(time)?), Some(time)))
}

/// When a server starts it knows no names of zones, not even `Z`.
fn as_postgres_reads(time: OffsetDateTime) -> Result<String> {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]+00");
    Ok(time.to_offset(time::UtcOffset::UTC).format(form)?)
}

/// Sees that it is the fleet's cluster, and all of it where all was asked for; returns the time of its last transaction.
async fn look(postgres: &Postgres, base: &Base, folder: &Folder, recovery: &Recovery) -> Result<OffsetDateTime> {
    let session = Session::connect(&postgres.url("postgres")).await?;
    // To PostgreSQL a segment that is missing or damaged is the archive's end.
    if recovery.target == Target::End
        && let Some(newest) = wal::newest(&folder.wal())?
    {
        let segment = "SELECT pg_walfile_name(pg_current_wal_lsn())";
        let reached: String = session.one(segment, &[]).await?.try_get(0)?;
        if !wal::is_whole(&reached, &newest) {
            bail!(
                "the replay ended in segment {} although the archive goes on to {}: one between is missing or damaged; \
                 `--to` a time before it restores what comes before",
                &reached[8..],
                &newest[8..]
            );
        }
    }
    for database in DATABASES {
        let known = "SELECT count(*) FROM pg_database WHERE datname = $1";
        let count: i64 = session.one(known, &[&database]).await?.try_get(0)?;
        if count != 1 {
            bail!("the backup has no database {database}");
        }
    }
    let last: Option<OffsetDateTime> = session.one("SELECT pg_last_xact_replay_timestamp()", &[]).await?.try_get(0)?;
    Ok(last.unwrap_or(base.note.ended))
}

/// The passwords in the cluster are the backup's; other ones are put aside.
fn take_over_secrets(home: &Home, base: &Base, stamp: &str) -> Result<()> {
    let kept = fs::read(base.secrets())?;
    match fs::read(home.secrets()) {
        Ok(present) if present == kept => return Ok(()),
        Ok(_) => fs::rename(home.secrets(), home.root().join(format!("secrets.before-{stamp}.json")))?,
        Err(_) => {}
    }
    home.write_private(&home.secrets(), &kept)
}

/// Whether a restore was interrupted where parts of the fleet don't fit together.
#[must_use]
pub fn unfinished(home: &Home) -> bool {
    unfinished_marker(home).exists()
}

/// Forgets the notes of restores with the credentials that they put aside, and archives WAL no longer.
///
/// # Errors
/// When one can't be removed.
pub fn forget(home: &Home) -> Result<()> {
    archive::forget(home)?;
    let is_old = |name: &str| name.starts_with("secrets.before-");
    let old = fs::read_dir(home.root())?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let old = old.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_old));
    for path in old.chain([unfinished_marker(home), jump_file(home)]) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// How long outboxes must keep their rows after a restore: as much longer as it went back. An inbox remembers that much
/// further then, and doesn't take what was on its way at that time for too old to be applied. `None` without a restore,
/// and when what was on its way has long arrived.
#[must_use]
pub fn retention(home: &Home) -> Option<Duration> {
    let usual = NatsSettings::default().retention.outbox.0;
    let jump = fs::read(jump_file(home)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())?;
    longer(jump, now(), usual)
}

fn longer(jump: Jump, now: OffsetDateTime, usual: Duration) -> Option<Duration> {
    let back: Duration = (jump.from - jump.to).try_into().ok()?;
    let since: Duration = (now - jump.from).try_into().ok()?;
    (since < usual * 2).then_some(usual + back)
}

fn unfinished_marker(home: &Home) -> PathBuf {
    home.root().join("restoring")
}

fn jump_file(home: &Home) -> PathBuf {
    home.root().join("restored.json")
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_time_is_told_to_postgresql_without_a_name_of_its_zone() {
        let time = datetime!(2026-01-31 13:00:00.25 +01:00);
        assert_eq!(as_postgres_reads(time).unwrap_or_default(), "2026-01-31 12:00:00.250000+00");
    }

    #[test]
    fn what_was_on_its_way_at_a_point_long_ago_is_still_young_enough() {
        let usual = Duration::from_secs(48 * 3_600);
        let jump = Jump { from: datetime!(2026-01-11 0:00 UTC), to: datetime!(2026-01-01 0:00 UTC) };
        let week = Duration::from_secs(12 * 24 * 3_600);
        assert_eq!(longer(jump, datetime!(2026-01-11 0:01 UTC), usual), Some(week));
        assert_eq!(longer(jump, datetime!(2026-01-15 0:01 UTC), usual), None);
    }
}
