//! Applies migrations, one process at a time, and waits for migrations applied by another process.
//!
//! Each set of migrations names its history table; which programs tolerate a newer schema is recorded beside them (see
//! `compatibility`). All sets are applied over one direct connection that holds an advisory lock meanwhile, so that
//! replicas starting together take turns. A database that is ahead of the program, as after a rollback of the program, is
//! left as it is.
//!
//! An index of a live table, or a change of all its rows, is prepared outside its migration's transaction (see
//! `concurrent_index` and `backfill`).
//!
//! A statement that waits for a lock makes all later statements on the table wait too, so it gives up after a short lock
//! timeout. The migration is then rolled back and tried again.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_config::SecretString;
use refinery::{Migration, Runner, Target};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::address::parse_url;
use crate::backfill;
use crate::compatibility;
use crate::concurrent_index;
use crate::error::{Error, ErrorKind};
use crate::settings::PostgresSettings;

/// The advisory lock for the migrations of one database ("flotilla" in ASCII).
const LOCK: i64 = 0x666c_6f74_696c_6c61;
/// Maximum wait for another process's migrations. A step of this one's (the migrations of a set up to the next backfill,
/// or an index) may take twice as long, plus the limit of a statement; a backfill as long as it needs.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often a migration is tried that doesn't get a lock in time.
pub(crate) const TRIES: u32 = 20;
/// Pause between two tries, in which statements that waited behind the migration run.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
/// Pause between two looks whether another process has migrated.
const TURN: Duration = Duration::from_millis(100);
/// Maximum wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Poll interval while waiting for migrations.
const LOOK: Duration = Duration::from_millis(500);

/// Limits of a migration's statements, enforced by the server. A migration may set others for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationLimits {
    /// Maximum wait of a statement for a lock.
    pub lock: Duration,
    /// Maximum duration of a statement.
    pub statement: Duration,
}

impl MigrationLimits {
    /// The limits that a service's settings name.
    #[must_use]
    pub fn of(settings: &PostgresSettings) -> Self {
        Self { lock: settings.migration_lock_timeout.get(), statement: settings.migration_statement_timeout.get() }
    }
}

impl Default for MigrationLimits {
    /// The defaults of the settings.
    fn default() -> Self {
        let none = || SecretString::from(String::new());
        Self::of(&PostgresSettings::new(none(), none(), none()))
    }
}

/// Applies the missing migrations of each set in the given order, lets `<service>_system` read the histories, and
/// returns `<history table>/<migration>` for each applied migration. The database may have migrations that the program
/// lacks, if they are newer than all of the program's.
///
/// # Errors
/// There is no connection; another process has been migrating for more than two minutes; a migration fails or differs
/// from the applied one, or didn't get a lock in twenty tries; or the database has an older migration that the program
/// lacks.
pub async fn migrate(
    owner_url: &SecretString,
    sets: Vec<(&'static str, Runner)>,
    limits: MigrationLimits,
) -> Result<Vec<String>, Error> {
    with_client(owner_url, "flotilla-migrate", async |client| apply(client, sets, limits).await).await
}

/// Waits until the database has every migration of each set, reading the histories as `<service>_system`. Also waits
/// while the database can't be reached or the histories may not be read yet.
///
/// # Errors
/// A migration is missing after `timeout`; the error names it.
pub async fn await_migrations(
    system_url: &SecretString,
    sets: &[(&'static str, Runner)],
    timeout: Duration,
) -> Result<(), Error> {
    let mut missing = "no connection".to_owned();
    let wait = async {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            let found = with_client(system_url, "flotilla-await", async |client| first_missing(client, sets).await);
            missing = match found.await {
                Ok(None) => return,
                Ok(Some(migration)) => format!("{migration} is missing"),
                Err(error) => error.to_string(),
            };
            tracing::debug!(missing, "waiting for migrations");
        }
    };
    if tokio::time::timeout(timeout, wait).await.is_ok() {
        return Ok(());
    }
    let waited = timeout.as_secs();
    Err(Error::new(ErrorKind::Timeout, format!("the database wasn't migrated within {waited} s: {missing}")))
}

/// Runs `work` on a direct connection and closes it: whatever the result, the server stops its statement and releases
/// its locks within a second.
pub(crate) async fn with_client<T>(
    url: &SecretString,
    name: &str,
    work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut config = parse_url(url)?;
    config.connect_timeout(CONNECT);
    if config.get_application_name().is_none() {
        config.application_name(name);
    }
    let (mut client, connection) = config.connect(NoTls).await?;
    let connection = flotilla_telemetry::spawn(connection);
    let result = work(&mut client).await;
    drop(client);
    connection.abort();
    result
}

async fn apply(
    client: &mut Client,
    sets: Vec<(&'static str, Runner)>,
    limits: MigrationLimits,
) -> Result<Vec<String>, Error> {
    client
        .batch_execute(&format!(
            "SET client_connection_check_interval = '1s'; SET client_min_messages = warning;
             SET lock_timeout = {}; SET statement_timeout = {}",
            limits.lock.as_millis(),
            limits.statement.as_millis(),
        ))
        .await?;
    take_turn(client).await?;
    compatibility::record(client, &sets).await?;
    backfill::create_table(client).await?;
    let mut applied = Vec::new();
    for (history, mut runner) in sets {
        let ahead = newer(client, history, &runner).await?;
        if ahead > 0 {
            tracing::warn!(history, ahead, "the database is ahead of this program");
            runner = runner.set_abort_missing(false);
        }
        runner.set_migration_table_name(history);
        for migration in run_all(client, history, runner, limits).await? {
            tracing::info!(history, migration = %migration, "migration applied");
            applied.push(format!("{history}/{migration}"));
        }
        client.batch_execute(&grant_read(history)).await?;
    }
    Ok(applied)
}

/// Waits for other migrators. Not in a statement that waits for the lock: an index that is built concurrently waits for
/// all statements that began before it, and so for that one.
async fn take_turn(client: &Client) -> Result<(), Error> {
    let take = async {
        let sql = "SELECT pg_try_advisory_lock($1)";
        while !client.query_one(sql, &[&LOCK]).await?.try_get::<_, bool>(0)? {
            tokio::time::sleep(TURN).await;
        }
        Ok(())
    };
    let late = Error::new(ErrorKind::Timeout, "another process has been migrating the database for too long");
    tokio::time::timeout(TIMEOUT, take).await.unwrap_or(Err(late))
}

/// Applies one set. What its marked migrations need is done beforehand, unless the database is being set up.
async fn run_all(
    client: &mut Client,
    history: &str,
    mut runner: Runner,
    limits: MigrationLimits,
) -> Result<Vec<Migration>, Error> {
    let applied = versions(client, history).await?;
    let is_missing = |one: &&Migration| !applied.is_empty() && !applied.contains(&one.version());
    let is_marked = |one: &&Migration| concurrent_index::is_marked(one) || backfill::is_marked(one);
    let marked: Vec<Migration> = runner.get_migrations().iter().filter(is_missing).filter(is_marked).cloned().collect();
    let mut done = Vec::new();
    for migration in marked {
        runner = runner.set_target(Target::Version(migration.version() - 1));
        done.extend(limited(limits, run(client, &runner)).await?);
        if concurrent_index::is_marked(&migration) {
            limited(limits, concurrent_index::build(client, &migration)).await?;
        } else {
            backfill::run(client, history, &migration).await?;
        }
    }
    done.extend(limited(limits, run(client, &runner.set_target(Target::Latest))).await?);
    Ok(done)
}

/// A step of the migrations, whose statements the server limits; this limit is for a server that is gone.
async fn limited<T>(limits: MigrationLimits, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = Error::new(ErrorKind::Timeout, "migrations took too long");
    tokio::time::timeout(TIMEOUT * 2 + limits.statement, step).await.unwrap_or(Err(late))
}

/// Applies one set up to its target. A migration that doesn't get a lock in time has changed nothing and is tried again.
async fn run(client: &mut Client, runner: &Runner) -> Result<Vec<Migration>, Error> {
    let mut applied = Vec::new();
    for left in (0..TRIES).rev() {
        let error = match runner.run_async(client).await {
            Ok(report) => {
                applied.extend_from_slice(report.applied_migrations());
                return Ok(applied);
            }
            Err(error) => error,
        };
        if let Some(report) = error.report() {
            applied.extend_from_slice(report.applied_migrations());
        }
        let error = Error::from(error);
        if error.sql_state() != Some(SqlState::LOCK_NOT_AVAILABLE.code()) || left == 0 {
            return Err(error);
        }
        tracing::warn!(error = %error, tries_left = left, "a migration didn't get its locks");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(applied)
}

/// Lets the service's processes read a table of the migrations without the owner's role.
pub(crate) fn grant_read(table: &str) -> String {
    format!(
        "DO $$ BEGIN
            EXECUTE format('GRANT SELECT ON {table} TO %I', current_setting('flotilla.service') || '_system');
        END $$"
    )
}

/// How many migrations the database has beyond the program's newest; zero if it lacks that one.
async fn newer(client: &Client, history: &str, runner: &Runner) -> Result<usize, Error> {
    let known: BTreeSet<i64> = runner.get_migrations().iter().map(refinery::Migration::version).collect();
    let applied = versions(client, history).await?;
    let Some(newest) = known.last() else { return Ok(0) };
    let all_known = applied.iter().filter(|version| *version <= newest).all(|version| known.contains(version));
    if all_known && applied.contains(newest) { Ok(applied.range(newest + 1..).count()) } else { Ok(0) }
}

pub(crate) async fn first_missing(client: &Client, sets: &[(&'static str, Runner)]) -> Result<Option<String>, Error> {
    for (history, runner) in sets {
        let applied = versions(client, history).await?;
        if let Some(missing) = runner.get_migrations().iter().find(|one| !applied.contains(&one.version())) {
            return Ok(Some(format!("{history}/{missing}")));
        }
    }
    Ok(None)
}

/// The versions in a history table; none if the table doesn't exist yet.
pub(crate) async fn versions(client: &Client, history: &str) -> Result<BTreeSet<i64>, Error> {
    // refinery's column is an integer, or a bigint if the table was created with 64-bit versions.
    match client.query(&format!("SELECT version::bigint FROM {history}"), &[]).await {
        Ok(rows) => rows.iter().map(|row| row.try_get(0).map_err(Error::from)).collect(),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}
