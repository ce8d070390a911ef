//! Connections of the checker: one to each database, and one to the broker.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, Row, RowStream};

/// The addresses of a fleet's databases and broker. They contain passwords, so there is no `Debug`.
#[derive(Clone)]
pub struct Stores {
    /// A superuser's URL of each service's database, by the service's name.
    pub databases: Vec<(String, String)>,
    /// URL of NATS, with a user who may read every stream.
    pub nats_url: String,
    /// Durable consumers that no running service has, such as those of a newer release after a rollback. What they have
    /// left to apply waits for that release and is no fault.
    pub absent_consumers: BTreeSet<String>,
}

impl Stores {
    /// The URL of a service's database.
    ///
    /// # Errors
    /// If the service has none.
    pub fn database(&self, service: &str) -> Result<&str> {
        let found = self.databases.iter().find(|(name, _)| name == service);
        found.map(|(_, url)| url.as_str()).with_context(|| no_database(service))
    }

    /// The services that own a database.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.databases.iter().map(|(service, _)| service.as_str())
    }
}

fn no_database(service: &str) -> String {
    format!("{service} has no database")
}

/// All databases of a fleet, read as superuser, and the URL of its broker.
pub struct Databases {
    clients: BTreeMap<String, Client>,
    drivers: Vec<JoinHandle<()>>,
    stores: Stores,
    /// URL of NATS, with the name and password of the fleet's own commands.
    pub nats_url: String,
}

impl Databases {
    /// Connects to each.
    ///
    /// # Errors
    /// If one doesn't respond.
    pub async fn open(stores: &Stores) -> Result<Self> {
        let (clients, drivers, nats_url) = (BTreeMap::new(), Vec::new(), stores.nats_url.clone());
        let mut all = Self { clients, drivers, stores: stores.clone(), nats_url };
        for (name, url) in &stores.databases {
            let (client, driver) = connect(name, url).await?;
            all.drivers.push(driver);
            all.clients.insert(name.clone(), client);
        }
        Ok(all)
    }

    /// Whether no running service has this consumer.
    pub fn is_absent(&self, consumer: &str) -> bool {
        self.stores.absent_consumers.contains(consumer)
    }

    /// The services whose databases these are.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.clients.keys().map(String::as_str)
    }

    /// The connection to a service's database.
    ///
    /// # Errors
    /// If the service has none.
    pub fn of(&self, service: &str) -> Result<&Client> {
        self.clients.get(service).with_context(|| no_database(service))
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// If the query fails; the error names the query.
    pub async fn rows(&self, service: &str, sql: &str) -> Result<Vec<Row>> {
        self.of(service)?.query(sql, &[]).await.with_context(|| format!("{service}: {sql}"))
    }

    /// The rows of a query one by one.
    ///
    /// # Errors
    /// If the query fails; the error names the query.
    pub async fn stream(&self, service: &str, sql: &str) -> Result<RowStream> {
        let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
        let rows = self.of(service)?.query_raw(sql, none).await;
        rows.with_context(|| format!("{service}: {sql}"))
    }

    /// The rows of a query one by one, over a separate connection: a connection runs its queries one after the other,
    /// so two results can't be read concurrently.
    ///
    /// # Errors
    /// If the database doesn't respond or the query fails; the error names the query.
    pub async fn stream_apart(&self, service: &str, sql: &str) -> Result<RowStream> {
        let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
        // The connection ends after the last row, since its client is dropped.
        let (client, _) = connect(service, self.stores.database(service)?).await?;
        client.query_raw(sql, none).await.with_context(|| format!("{service}: {sql}"))
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

/// A connection, and the task that drives it until the client and all rows are dropped.
async fn connect(database: &str, url: &str) -> Result<(Client, JoinHandle<()>)> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .with_context(|| format!("the database {database} doesn't respond"))?;
    let name = database.to_owned();
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(database = name, %error, "connection of the checker ended");
        }
    });
    // Every check reads whole tables: nested loops would take minutes where other joins take moments.
    client.batch_execute("SET enable_nestloop = off; SET jit = off").await?;
    Ok((client, driver))
}

impl Drop for Databases {
    fn drop(&mut self) {
        for driver in &self.drivers {
            driver.abort();
        }
    }
}
