//! A superuser's connection to the cluster that is backed up, and the format of times.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{process::Command, task::JoinHandle};
use tokio_postgres::{Client, NoTls, Row, types::ToSql};

/// The timeout of a query.
const PATIENCE: Duration = Duration::from_secs(10);

/// The identity of a cluster and its history: a restore begins a new timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster's system identifier.
    pub cluster: i64,
    /// Its timeline.
    pub timeline: u32,
}

/// The connection.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Session {
    /// Connects as a superuser.
    ///
    /// # Errors
    /// If PostgreSQL doesn't respond or refuses the connection.
    pub async fn connect(url: &str) -> Result<Self> {
        let connect = tokio::time::timeout(PATIENCE, tokio_postgres::connect(url, NoTls)).await;
        let (client, connection) =
            connect.context("PostgreSQL doesn't respond")?.context("PostgreSQL refuses the connection")?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection of a backup ended");
            }
        });
        Ok(Self { client, driver })
    }

    /// The only row of a query's result.
    ///
    /// # Errors
    /// If the query fails, doesn't return exactly one row, or times out.
    pub async fn one(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Row> {
        in_time(self.client.query_one(sql, parameters)).await
    }

    /// Executes a statement.
    ///
    /// # Errors
    /// If the statement fails or times out.
    pub async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        in_time(self.client.execute(sql, parameters)).await
    }

    /// The cluster and timeline.
    ///
    /// # Errors
    /// If PostgreSQL doesn't respond.
    pub async fn identity(&self) -> Result<Identity> {
        let sql = "SELECT (SELECT system_identifier FROM pg_control_system()),
                          substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
        let row = self.one(sql, &[]).await?;
        let timeline: String = row.try_get(1)?;
        Ok(Identity { cluster: row.try_get(0)?, timeline: u32::from_str_radix(&timeline, 16)? })
    }

    /// The cluster's clock.
    ///
    /// # Errors
    /// If PostgreSQL doesn't respond.
    pub async fn now(&self) -> Result<OffsetDateTime> {
        Ok(self.one("SELECT clock_timestamp()", &[]).await?.try_get(0)?)
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T> {
    Ok(tokio::time::timeout(PATIENCE, answer).await.context("PostgreSQL doesn't respond")??)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Formats a time in UTC, as `--to` takes it.
///
/// # Errors
/// If its year has more than four digits.
pub fn format_time(at: OffsetDateTime) -> Result<String> {
    Ok(at.to_offset(time::UtcOffset::UTC).format(&Rfc3339)?)
}

/// Passes the cluster's address to a tool; the password is in the environment, where other users can't see it.
pub(crate) fn connect(command: &mut Command, url: &str, application: &str) -> Result<()> {
    let (url, password) = without_password(url).context("the superuser's URL has a password")?;
    command.arg(format!("--dbname={url}?application_name={application}")).env("PGPASSWORD", password);
    Ok(())
}

/// A URL without its password, and the password.
fn without_password(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let (credentials, host) = rest.split_once('@')?;
    let (user, password) = credentials.split_once(':')?;
    Some((format!("{scheme}://{user}@{host}"), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_on_the_command_line() {
        let (url, password) = without_password("postgres://postgres:geheim@127.0.0.1:5/x").unwrap_or_default();
        assert_eq!((url.as_str(), password.as_str()), ("postgres://postgres@127.0.0.1:5/x", "geheim"));
    }
}
