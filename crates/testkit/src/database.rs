//! A database for one test.

use anyhow::{Context as _, Result};
use flotilla_messaging::{Event, frame};
use flotilla_postgres::refinery::Runner;
use flotilla_postgres::tokio_postgres::{self, Config, NoTls, Row, types::ToSql};
use flotilla_postgres::{MigrationLimits, PostgresSettings, ServiceUrls, bootstrap, migrate};

use prost::Name;

use crate::timeouts::{TIMEOUT, with_long_timeouts};

/// Connections per pool; few, because many tests share one server.
const POOL: usize = 4;

/// A new database with its roles and settings.
#[derive(Debug, Clone)]
pub struct Database {
    /// The service that it belongs to.
    pub service: &'static str,
    /// Its name.
    pub name: String,
    urls: ServiceUrls,
    superuser: Config,
}

impl Database {
    /// A new database on any server, migrated by each of `sets` (history table and migrations).
    ///
    /// # Errors
    /// If it can't be created.
    pub async fn create(
        superuser_url: &str,
        service: &'static str,
        name: &str,
        sets: Vec<(&'static str, Runner)>,
    ) -> Result<Self> {
        let urls = bootstrap(superuser_url, service, name).await.context("bootstrap")?;
        migrate(&urls.owner, sets, MigrationLimits::default()).await.context("migrations")?;
        let mut superuser: Config = superuser_url.parse()?;
        superuser.dbname(name).connect_timeout(TIMEOUT);
        Ok(Self { service, name: name.to_owned(), urls, superuser })
    }

    /// Settings for a service on this database, with timeouts that no test reaches.
    pub fn settings(&self) -> PostgresSettings {
        let ServiceUrls { owner, system, user } = self.urls.clone();
        with_long_timeouts(PostgresSettings { pool_size: POOL, ..PostgresSettings::new(owner, system, user) })
    }

    /// The addresses of its roles.
    pub fn urls(&self) -> &ServiceUrls {
        &self.urls
    }

    /// Runs one statement as superuser, to whom row-level security doesn't apply.
    ///
    /// # Panics
    /// The statement fails.
    pub async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        match self.try_query(sql, params).await {
            Ok(rows) => rows,
            Err(error) => panic!("{}: {sql}: {error:#}", self.name),
        }
    }

    /// The single value that `sql` returns, as superuser.
    ///
    /// # Panics
    /// The statement fails, or doesn't return exactly one row.
    pub async fn value<T>(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> T
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        let rows = self.query(sql, params).await;
        assert_eq!(rows.len(), 1, "{}: {sql}: one row expected", self.name);
        rows[0].get(0)
    }

    /// The events in the outbox, in the order of its frames.
    ///
    /// # Panics
    /// A frame is undecodable.
    pub async fn outbox(&self) -> Vec<Event> {
        let rows = self.query("SELECT subject, event FROM outbox ORDER BY generation, xid, id", &[]).await;
        let frames = rows.iter().map(|row| frame::decode(row.get(0), &row.get::<_, Vec<u8>>(1).into()).unwrap());
        frames.flatten().map(Result::unwrap).collect()
    }

    /// The events of a type in the outbox.
    ///
    /// # Panics
    /// A frame is undecodable.
    pub async fn outbox_of<M: Name>(&self) -> Vec<Event> {
        self.outbox().await.into_iter().filter(Event::is::<M>).collect()
    }

    pub(crate) fn superuser(&self) -> &Config {
        &self.superuser
    }

    pub(crate) async fn try_query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let work = async {
            let (client, connection) = self.superuser.connect(NoTls).await?;
            let connection = tokio::spawn(connection);
            let rows = client.query(sql, params).await;
            drop(client);
            // A closed client ends its connection.
            let _ = connection.await;
            Ok(rows?)
        };
        tokio::time::timeout(TIMEOUT, work).await.context("no answer in time")?
    }
}
