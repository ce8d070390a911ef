//! The servers of a test process, and each test's share of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use flotilla_postgres::refinery::Runner;
use tokio::sync::OnceCell;

use crate::database::Database;
use crate::nats::Accounts;
use crate::servers::Servers;

/// Number of databases of a Redis server.
const REDIS_DATABASES: usize = 16;

static STACK: OnceCell<Stack> = OnceCell::const_new();

/// The servers that all tests of this process share, started at the first call.
///
/// # Panics
/// They can't be started.
pub async fn stack() -> &'static Stack {
    STACK
        .get_or_init(|| async {
            match Stack::start().await {
                Ok(stack) => stack,
                Err(error) => panic!("test servers could not be started: {error:#}"),
            }
        })
        .await
}

/// PostgreSQL, NATS and Redis. They are killed on drop.
pub struct Stack {
    servers: Servers,
    databases: AtomicUsize,
    accounts: Accounts,
    redis_databases: AtomicUsize,
}

impl Stack {
    /// Private servers, for tests that stop them.
    ///
    /// # Errors
    /// They can't be started.
    pub async fn start() -> Result<Self> {
        let servers = Servers::start().await?;
        Ok(Self {
            servers,
            databases: AtomicUsize::new(0),
            accounts: Accounts::default(),
            redis_databases: AtomicUsize::new(0),
        })
    }

    /// A new database of `service` with its roles, migrated by each of `sets` (history table and migrations).
    ///
    /// # Panics
    /// It can't be created.
    pub async fn database(&self, service: &'static str, sets: Vec<(&'static str, Runner)>) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("{service}_{}_{number}", std::process::id());
        match Database::create(&self.servers.postgres_url, service, &name, sets).await {
            Ok(database) => database,
            Err(error) => panic!("database {name} could not be created: {error:#}"),
        }
    }

    /// The address of NATS with an account of its own, which doesn't see streams of other tests. Services that exchange
    /// messages share one address.
    pub fn nats_url(&self) -> String {
        match &self.servers.nats {
            crate::servers::Place::Own(_) => self.accounts.next(&self.servers.nats_url),
            crate::servers::Place::External => self.servers.nats_url.clone(),
        }
    }

    /// The address of Redis with the next of its sixteen databases.
    pub fn redis_url(&self) -> String {
        let number = self.redis_databases.fetch_add(1, Ordering::Relaxed) % REDIS_DATABASES;
        format!("{}/{number}", self.servers.redis_url)
    }

    /// The superuser's address of PostgreSQL.
    pub fn postgres_url(&self) -> &str {
        &self.servers.postgres_url
    }

    /// Kills PostgreSQL as a crash would. Only for private stacks.
    pub async fn kill_postgres(&self) {
        self.servers.with(&self.servers.postgres, |mut server| async move { server.kill().await }).await;
    }

    /// Starts PostgreSQL again, on the same port.
    ///
    /// # Errors
    /// It doesn't start.
    pub async fn restart_postgres(&self) -> Result<()> {
        self.servers.with(&self.servers.postgres, |mut server| async move { server.restart().await }).await
    }

    /// Stops PostgreSQL, copies its data and restarts it. [`restore_postgres`](Self::restore_postgres) returns to this
    /// copy. Only for private stacks.
    ///
    /// # Errors
    /// If the data can't be copied, or the server doesn't start again.
    pub async fn save_postgres(&self) -> Result<()> {
        self.servers
            .with(&self.servers.postgres, |mut server| async move {
                server.stop().await?;
                copy(&server.data(), &saved(&server.data()))?;
                server.restart().await
            })
            .await
    }

    /// Kills PostgreSQL and starts it with the saved data. All later changes are lost undetectably: the system identifier
    /// and the timeline are the same as before, and transaction ids are reused.
    ///
    /// # Errors
    /// If the data can't be copied, or the server doesn't start.
    pub async fn restore_postgres(&self) -> Result<()> {
        self.servers
            .with(&self.servers.postgres, |mut server| async move {
                server.kill().await;
                copy(&saved(&server.data()), &server.data())?;
                server.restart().await
            })
            .await
    }

    /// Kills NATS as a crash would. Only for private stacks.
    pub async fn kill_nats(&self) {
        self.servers.with(&self.servers.nats, |mut server| async move { server.kill().await }).await;
    }

    /// Starts NATS again, on the same port.
    ///
    /// # Errors
    /// It doesn't start.
    pub async fn restart_nats(&self) -> Result<()> {
        self.servers.with(&self.servers.nats, |mut server| async move { server.restart().await }).await
    }

    /// Kills NATS and removes its streams, as a lost disk would. Only for private stacks.
    ///
    /// # Errors
    /// The data can't be removed.
    pub async fn wipe_nats(&self) -> Result<()> {
        self.servers
            .with(&self.servers.nats, |mut server| async move {
                server.kill().await;
                server.wipe_data()
            })
            .await
    }

    /// Kills Redis as a crash would. Only for private stacks.
    pub async fn kill_redis(&self) {
        self.servers.with(&self.servers.redis, |mut server| async move { server.kill().await }).await;
    }

    /// Starts Redis again, on the same port.
    ///
    /// # Errors
    /// It doesn't start.
    pub async fn restart_redis(&self) -> Result<()> {
        self.servers.with(&self.servers.redis, |mut server| async move { server.restart().await }).await
    }
}

/// The path of a data folder's copy.
fn saved(data: &Path) -> PathBuf {
    data.with_extension("saved")
}

/// Copies `from` to `to`, with owners and permissions.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(copied.success(), "{} can't be copied", from.display());
    Ok(())
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack")
            .field("postgres", &self.servers.postgres_url)
            .field("nats", &self.servers.nats_url)
            .field("redis", &self.servers.redis_url)
            .finish()
    }
}
