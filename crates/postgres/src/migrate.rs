//! Applying migrations, one process at a time.
//!
//! Owns no tables of its own: each set of migrations brings the name of its history table. All sets are applied over
//! one direct connection that holds an advisory lock for as long, so that replicas starting together take turns.

use std::time::Duration;

use flotilla_config::SecretString;
use refinery::Runner;
use tokio_postgres::{Client, NoTls};

use crate::error::{Error, ErrorKind};
use crate::pool::parse_url;

/// The lock that migrations of one database take ("flotilla" in ASCII).
const LOCK: i64 = 0x666c_6f74_696c_6c61;
/// Longest wait for another process's migrations, and longest for ours.
const PATIENCE: Duration = Duration::from_secs(120);

/// Applies what is missing of each set, in the order given, and returns `<history table>/<migration>` of each that was
/// applied.
///
/// # Errors
/// No connection, another process migrating for longer than two minutes, a migration that fails or differs from the
/// one applied earlier.
pub async fn migrate(owner_url: &SecretString, sets: Vec<(&'static str, Runner)>) -> Result<Vec<String>, Error> {
    let mut config = parse_url(owner_url)?;
    config.connect_timeout(Duration::from_secs(5));
    if config.get_application_name().is_none() {
        config.application_name("flotilla-migrate");
    }
    let (mut client, connection) = config.connect(NoTls).await?;
    let connection = tokio::spawn(connection);
    let result = tokio::time::timeout(PATIENCE * 2, apply(&mut client, sets))
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "migrations took too long")));
    // Closing the connection gives up the lock, however we got here.
    drop(client);
    connection.abort();
    result
}

async fn apply(client: &mut Client, sets: Vec<(&'static str, Runner)>) -> Result<Vec<String>, Error> {
    client
        .batch_execute(&format!(
            "SET statement_timeout = 0; SET lock_timeout = {}; SELECT pg_advisory_lock({LOCK}); \
             SET lock_timeout = '10s'; SET client_min_messages = warning",
            PATIENCE.as_millis()
        ))
        .await?;
    let mut applied = Vec::new();
    for (history, mut runner) in sets {
        runner.set_migration_table_name(history);
        let report = runner.run_async(client).await?;
        for migration in report.applied_migrations() {
            tracing::info!(history, migration = %migration, "migration applied");
            applied.push(format!("{history}/{migration}"));
        }
    }
    Ok(applied)
}
