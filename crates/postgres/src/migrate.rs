//! Applying migrations, one process at a time, and waiting until somebody has.
//!
//! Owns no tables of its own: each set of migrations brings the name of its history table. All sets are applied over
//! one direct connection that holds an advisory lock for as long, so that replicas starting together take turns. A
//! database that is ahead of the program, as after a roll back, is left as it is.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_config::SecretString;
use refinery::Runner;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::address::parse_url;
use crate::error::{Error, ErrorKind};

/// The lock that migrations of one database take ("flotilla" in ASCII).
const LOCK: i64 = 0x666c_6f74_696c_6c61;
/// Longest wait for another process's migrations, and half the longest for ours.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a database is looked at that isn't migrated yet.
const LOOK: Duration = Duration::from_millis(500);

/// Applies what is missing of each set, in the order given, lets `<service>_system` read the histories, and returns `<history table>/<migration>` of each that was
/// applied. Migrations that the database has and the program doesn't are fine if they are newer than all of its own.
///
/// # Errors
/// No connection, another process migrating for longer than two minutes, a migration that fails or differs from the
/// one applied earlier, an older one that the program doesn't have.
pub async fn migrate(owner_url: &SecretString, sets: Vec<(&'static str, Runner)>) -> Result<Vec<String>, Error> {
    with_client(owner_url, "flotilla-migrate", async |client| {
        tokio::time::timeout(TIMEOUT * 2, apply(client, sets))
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "migrations took too long")))
    })
    .await
}

/// Waits until the database has every migration of each set, which is asked as `<service>_system`. One that can't be
/// reached yet, or whose histories may not be read yet, is waited for as well.
///
/// # Errors
/// It hasn't after `timeout`: what is missing.
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
            tracing::debug!(missing, "migrations are waited for");
        }
    };
    if tokio::time::timeout(timeout, wait).await.is_ok() {
        return Ok(());
    }
    let waited = timeout.as_secs();
    Err(Error::new(ErrorKind::Timeout, format!("the database wasn't migrated within {waited} s: {missing}")))
}

/// Lends a direct connection, closed afterwards: the server gives up what it runs and its locks within a second, however
/// the work has ended.
async fn with_client<T>(
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
    let connection = tokio::spawn(connection);
    let result = work(&mut client).await;
    drop(client);
    connection.abort();
    result
}

async fn apply(client: &mut Client, sets: Vec<(&'static str, Runner)>) -> Result<Vec<String>, Error> {
    client
        .batch_execute(&format!(
            "SET client_connection_check_interval = '1s'; SET statement_timeout = 0; SET lock_timeout = {}; SELECT pg_advisory_lock({LOCK}); \
             SET lock_timeout = '10s'; SET client_min_messages = warning",
            TIMEOUT.as_millis()
        ))
        .await?;
    let mut applied = Vec::new();
    for (history, mut runner) in sets {
        let ahead = newer(client, history, &runner).await?;
        if ahead > 0 {
            tracing::warn!(history, ahead, "the database is ahead of this program");
            runner = runner.set_abort_missing(false);
        }
        runner.set_migration_table_name(history);
        let report = runner.run_async(client).await?;
        for migration in report.applied_migrations() {
            tracing::info!(history, migration = %migration, "migration applied");
            applied.push(format!("{history}/{migration}"));
        }
        client.batch_execute(&grant_read(history)).await?;
    }
    Ok(applied)
}

/// Whoever serves may see what was applied, and needs no owner for it.
fn grant_read(history: &str) -> String {
    format!(
        "DO $$ BEGIN
            EXECUTE format('GRANT SELECT ON {history} TO %I', current_setting('flotilla.service') || '_system');
        END $$"
    )
}

/// How many migrations the database has beyond the newest that the program knows; none where it lacks that one.
async fn newer(client: &Client, history: &str, runner: &Runner) -> Result<usize, Error> {
    let known: BTreeSet<i64> = runner.get_migrations().iter().map(refinery::Migration::version).collect();
    let applied = versions(client, history).await?;
    let Some(newest) = known.last() else { return Ok(0) };
    let all_known = applied.iter().filter(|version| *version <= newest).all(|version| known.contains(version));
    if all_known && applied.contains(newest) { Ok(applied.range(newest + 1..).count()) } else { Ok(0) }
}

async fn first_missing(client: &Client, sets: &[(&'static str, Runner)]) -> Result<Option<String>, Error> {
    for (history, runner) in sets {
        let applied = versions(client, history).await?;
        if let Some(missing) = runner.get_migrations().iter().find(|one| !applied.contains(&one.version())) {
            return Ok(Some(format!("{history}/{missing}")));
        }
    }
    Ok(None)
}

/// The versions of a history; none where it hasn't begun.
async fn versions(client: &Client, history: &str) -> Result<BTreeSet<i64>, Error> {
    // refinery's column is an integer, or a bigint where it was made with big versions.
    match client.query(&format!("SELECT version::bigint FROM {history}"), &[]).await {
        Ok(rows) => rows.iter().map(|row| row.try_get(0).map_err(Error::from)).collect(),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}
