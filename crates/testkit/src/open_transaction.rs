//! Rows locked by a transaction of the test itself, so that a test can control the order of two transactions.

use anyhow::{Context as _, Result};
use flotilla_postgres::tokio_postgres::{Client, NoTls};
use tokio::task::JoinHandle;

use crate::database::Database;
use crate::{TIMEOUT, eventually};

/// An open transaction, as superuser. It is rolled back on drop.
#[derive(Debug)]
pub struct OpenTransaction {
    client: Client,
    connection: JoinHandle<()>,
    database: Database,
    process: i32,
}

impl Database {
    /// Begins a transaction as superuser, runs `statements` in it, and keeps their locks. If it writes, no relay of any
    /// database on the server publishes later commits until it ends.
    ///
    /// # Panics
    /// A statement fails.
    pub async fn hold(&self, statements: &str) -> OpenTransaction {
        match OpenTransaction::begin(self.clone(), statements).await {
            Ok(transaction) => transaction,
            Err(error) => panic!("{}: {statements}: {error:#}", self.name),
        }
    }
}

impl OpenTransaction {
    async fn begin(database: Database, statements: &str) -> Result<Self> {
        let (client, connection) = database.superuser().connect(NoTls).await?;
        let connection = tokio::spawn(async move {
            // A connection error also fails the statement.
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
    /// None does within the timeout.
    pub async fn wait_until_blocking(&self) {
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
    /// The commit fails.
    pub async fn commit(self) {
        let committed = tokio::time::timeout(TIMEOUT, self.client.batch_execute("COMMIT")).await;
        committed.expect("an answer in time").expect("a commit");
        drop(self.client);
        self.connection.await.expect("the connection ends");
    }
}
