//! Applies migrations, one process at a time, and waits for migrations applied by another process.
//!
//! Owns no tables: each set of migrations names its history table. All sets are applied over one direct connection that
//! holds an advisory lock meanwhile, so that replicas starting together take turns. A database that is ahead of the
//! program, as after a rollback of the program, is left as it is.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_config::SecretString;
use refinery::Runner;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::address::parse_url;
use crate::error::{Error, ErrorKind};

/// The advisory lock for the migrations of one database ("flotilla" in ASCII).
const LOCK: i64 = 0x666c_6f74_696c_6c61;
/// Maximum wait for another process's migrations. Wait and migrations together may take twice as long.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Maximum wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Poll interval while waiting for migrations.
const LOOK: Duration = Duration::from_millis(500);

/// Applies the missing migrations of each set in the given order, lets `<service>_system` read the histories, and
/// returns `<history table>/<migration>` for each applied migration. The database may have migrations that the program
/// lacks, if they are newer than all of the program's.
///
/// # Errors
/// There is no connection; another process has been migrating for more than two minutes; a migration fails or differs
/// from the applied one; or the database has an older migration that the program lacks.
pub async fn migrate(owner_url: &SecretString, sets: Vec<(&'static str, Runner)>) -> Result<Vec<String>, Error> {
    with_client(owner_url, "flotilla-migrate", async |client| {
        tokio::time::timeout(TIMEOUT * 2, apply(client, sets))
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "migrations took too long")))
    })
    .await
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
    let connection = flotilla_telemetry::spawn(connection);
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

/// Lets the service's processes see the applied migrations without the owner's role.
fn grant_read(history: &str) -> String {
    format!(
        "DO $$ BEGIN
            EXECUTE format('GRANT SELECT ON {history} TO %I', current_setting('flotilla.service') || '_system');
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

async fn first_missing(client: &Client, sets: &[(&'static str, Runner)]) -> Result<Option<String>, Error> {
    for (history, runner) in sets {
        let applied = versions(client, history).await?;
        if let Some(missing) = runner.get_migrations().iter().find(|one| !applied.contains(&one.version())) {
            return Ok(Some(format!("{history}/{missing}")));
        }
    }
    Ok(None)
}

/// The versions in a history table; none if the table doesn't exist yet.
async fn versions(client: &Client, history: &str) -> Result<BTreeSet<i64>, Error> {
    // refinery's column is an integer, or a bigint if the table was created with 64-bit versions.
    match client.query(&format!("SELECT version::bigint FROM {history}"), &[]).await {
        Ok(rows) => rows.iter().map(|row| row.try_get(0).map_err(Error::from)).collect(),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}
