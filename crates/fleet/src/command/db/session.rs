//! A connection to one database, for queries that must not disturb the fleet.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde::de::DeserializeOwned;
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{
    Client, Config, NoTls,
    types::{Json, ToSql},
};

/// No query takes longer or waits longer for a lock, nothing is written unless a transaction asks for it, and plans
/// aren't compiled.
const SETTINGS: &str = "-c statement_timeout=4s -c lock_timeout=1s -c default_transaction_read_only=on -c jit=off";
/// Otherwise these queries would be among the statements that they show.
const UNCOUNTED: &str = "SET pg_stat_statements.track = 'none'";
/// A server that accepts connections may still not respond.
const OPEN: Duration = Duration::from_secs(10);

/// The connection.
pub(super) struct Session {
    database: String,
    client: Client,
    driver: JoinHandle<()>,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// If the database doesn't respond in time.
    pub async fn open(database: &str, url: &str) -> Result<Self> {
        let unanswered = || format!("the database {database} doesn't respond; `fleet status` shows the server");
        let mut config: Config = url.parse().context("invalid address of PostgreSQL")?;
        config.options(SETTINGS).application_name("fleet db top");
        let (client, connection) = timeout(OPEN, config.connect(NoTls))
            .await
            .with_context(unanswered)?
            .map_err(reason)
            .with_context(unanswered)?;
        let name = database.to_owned();
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(database = name, %error, "connection of db top ended");
            }
        });
        // Refused where the library isn't preloaded or the role is no superuser; then there is nothing to hide, or the
        // queries are shown.
        drop(timeout(OPEN, client.batch_execute(UNCOUNTED)).await.with_context(unanswered)?);
        Ok(Self { database: database.to_owned(), client, driver })
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// All rows of a query, each by the names of its columns.
    ///
    /// # Errors
    /// If the query fails or its columns are others.
    pub async fn rows<T: DeserializeOwned>(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<T>> {
        let sql = format!("SELECT to_jsonb(one) FROM (\n{sql}\n) AS one");
        let rows = self.client.query(&sql, parameters).await.map_err(reason)?;
        rows.iter().map(|row| Ok(row.try_get::<_, Json<T>>(0)?.0)).collect()
    }

    /// Runs statements that return nothing of interest.
    ///
    /// # Errors
    /// If one fails.
    pub async fn execute(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(reason).with_context(|| format!("{}: {sql}", self.database))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// PostgreSQL's own words, where the error is one of its.
fn reason(error: tokio_postgres::Error) -> anyhow::Error {
    match error.as_db_error() {
        Some(answer) => anyhow!("{}", answer.message()),
        None => error.into(),
    }
}
