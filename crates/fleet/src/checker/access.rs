//! Connections of the checker: one to each database, and one to the broker.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, Row, RowStream};

use crate::{DATABASES, state::State};

/// All databases of a fleet, read as superuser, and the URL of its broker.
pub struct Databases {
    clients: BTreeMap<&'static str, Client>,
    drivers: Vec<JoinHandle<()>>,
    /// URL of NATS, with the name and password of the fleet's own commands.
    pub nats_url: String,
}

impl Databases {
    /// Connects to each.
    ///
    /// # Errors
    /// When one doesn't answer.
    pub async fn open(state: &State) -> Result<Self> {
        let mut all = Self { clients: BTreeMap::new(), drivers: Vec::new(), nats_url: state.broker_url()?.to_owned() };
        for name in DATABASES {
            let (client, connection) = tokio_postgres::connect(&state.database_url(name), NoTls)
                .await
                .with_context(|| format!("the database {name} doesn't answer"))?;
            all.drivers.push(tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(database = name, %error, "connection of the checker ended");
                }
            }));
            // Every check reads whole tables: a plan that looks rows up one by one takes minutes where joins take moments.
            client.batch_execute("SET enable_nestloop = off; SET jit = off").await?;
            all.clients.insert(name, client);
        }
        Ok(all)
    }

    /// The connection to a service's database.
    ///
    /// # Errors
    /// When the service has none.
    pub fn of(&self, service: &str) -> Result<&Client> {
        self.clients.get(service).with_context(|| format!("{service} has no database"))
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// When the query fails; the text says which.
    pub async fn rows(&self, service: &str, sql: &str) -> Result<Vec<Row>> {
        self.of(service)?.query(sql, &[]).await.with_context(|| format!("{service}: {sql}"))
    }

    /// The rows of a query one by one.
    ///
    /// # Errors
    /// When the query fails; the text says which.
    pub async fn stream(&self, service: &str, sql: &str) -> Result<RowStream> {
        let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
        let rows = self.of(service)?.query_raw(sql, none).await;
        rows.with_context(|| format!("{service}: {sql}"))
    }

    /// The only number that a query returns.
    ///
    /// # Errors
    /// When the query fails or returns another shape.
    pub async fn number(&self, service: &str, sql: &str) -> Result<i64> {
        let row = self.of(service)?.query_one(sql, &[]).await.with_context(|| format!("{service}: {sql}"))?;
        row.try_get(0).with_context(|| format!("{service}: {sql}"))
    }

    /// Descriptions (first column) of the rows that a query finds wrong.
    ///
    /// # Errors
    /// When the query fails or returns another shape.
    pub async fn wrong(&self, service: &str, sql: &str) -> Result<Vec<String>> {
        let rows = self.rows(service, sql).await?;
        rows.iter().map(|row| row.try_get(0).map_err(anyhow::Error::from)).collect()
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        for driver in &self.drivers {
            driver.abort();
        }
    }
}
