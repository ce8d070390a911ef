//! Rows locked by a transaction of the test itself, so that two transactions can be stepped by hand.

use anyhow::{Context as _, Result};
use flotilla_postgres::tokio_postgres::{Client, NoTls};
use tokio::task::JoinHandle;

use crate::database::Database;
use crate::{TIMEOUT, eventually};

/// An open transaction, as superuser. It is rolled back on drop.
#[derive(Debug)]
pub struct Held {
    client: Client,
    connection: JoinHandle<()>,
    database: Database,
    process: i32,
}

impl Database {
    /// Begins a transaction as superuser, runs `statements` in it, and keeps their locks. If it has written, then until
    /// it ends no relay of any database on the server publishes what is committed after it began.
    ///
    /// # Panics
    /// If a statement fails.
    pub async fn hold(&self, statements: &str) -> Held {
        match Held::begin(self.clone(), statements).await {
            Ok(held) => held,
            Err(error) => panic!("{}: {statements}: {error:#}", self.name),
        }
    }
}

impl Held {
    async fn begin(database: Database, statements: &str) -> Result<Self> {
        let (client, connection) = database.superuser().connect(NoTls).await?;
        let connection = tokio::spawn(async move {
            // A connection error shows in the statement that it breaks.
            let _ = connection.await;
        });
        let work = async {
            client.batch_execute("BEGIN").await?;
            client.batch_execute(statements).await?;
            client.query_one("SELECT pg_backend_pid()", &[]).await
        };
        let process = tokio::time::timeout(TIMEOUT, work).await.context("no answer in time")??.get(0);
        Ok(Self { client, connection, database, process })
    }

    /// Waits until another transaction waits for a lock of this one.
    ///
    /// # Panics
    /// If none does.
    pub async fn awaited(&self) {
        let sql = "SELECT count(*) > 0 FROM pg_stat_activity
                   WHERE datname = current_database() AND $1 = ANY (pg_blocking_pids(pid))";
        eventually("another transaction waits", TIMEOUT, || async {
            self.database.value::<bool>(sql, &[&self.process]).await
        })
        .await;
    }

    /// Commits, which releases the locks.
    ///
    /// # Panics
    /// If the commit fails.
    pub async fn commit(self) {
        let committed = tokio::time::timeout(TIMEOUT, self.client.batch_execute("COMMIT")).await;
        committed.expect("an answer in time").expect("a commit");
        drop(self.client);
        self.connection.await.expect("the connection ends");
    }
}
