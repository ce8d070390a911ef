//! PostgreSQL over TCP on loopback.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio_postgres::NoTls;

use crate::cluster::{self, Cluster};
use crate::instance::{self, Kind, START_DEADLINE, Server};
use crate::layout::Layout;
use crate::provision::Binaries;
use crate::tree;

/// Options of an instance. It is durable unless the settings disable that.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// The preferred port; another is chosen if it is taken.
    pub port: Option<u16>,
    /// Settings as in `postgresql.conf`, which override the defaults.
    pub settings: Vec<(String, String)>,
    /// The superuser's password (letters, digits, '-', '_'), checked by SCRAM. Without one any local user can connect as
    /// superuser. It is set when the data folder is created; the caller must store it.
    pub password: Option<String>,
}

/// A private PostgreSQL.
pub type Postgres = Server<PostgresKind>;

/// PostgreSQL as a kind of server.
#[derive(Debug)]
pub struct PostgresKind {
    program: PathBuf,
    cluster: Cluster,
    preload: bool,
    options: PostgresOptions,
    start_timeout: Duration,
}

impl Server<PostgresKind> {
    /// Starts PostgreSQL, creating its data folder's content on first use, and waits until it responds.
    ///
    /// # Errors
    /// The name is in use by another process, the data belongs to another major version, or the server doesn't start; the
    /// error then has the end of its log.
    pub async fn start(binaries: &Binaries, layout: &Layout, name: &str, options: PostgresOptions) -> Result<Self> {
        let claim = instance::claim(layout, name).await?;
        let cluster = Cluster::new(binaries.postgres.clone(), layout.clone(), name, options.password.clone())?;
        Self::run(binaries, layout, name, cluster, options, START_DEADLINE, claim).await
    }

    /// Starts a server on a cluster; it may take up to `start_timeout` to respond.
    pub(crate) async fn run(
        binaries: &Binaries,
        layout: &Layout,
        name: &str,
        cluster: Cluster,
        options: PostgresOptions,
        start_timeout: Duration,
        claim: File,
    ) -> Result<Self> {
        let preload = has_statement_statistics(&binaries.postgres);
        let wanted = options.port;
        let kind =
            PostgresKind { program: binaries.postgres.join("postgres"), cluster, preload, options, start_timeout };
        Self::launch(kind, layout, name, wanted, claim).await
    }

    /// The superuser's URL of a database, with the password if there is one.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.kind.url(self.port(), database)
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.kind.cluster.folder().to_owned()
    }
}

impl PostgresKind {
    fn url(&self, port: u16, database: &str) -> String {
        let password = self.options.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{}{password}@127.0.0.1:{port}/{database}", cluster::SUPERUSER)
    }
}

impl Kind for PostgresKind {
    /// A fast shutdown: open transactions are rolled back, the rest is written.
    const STOP: Signal = Signal::INT;

    fn program(&self) -> &Path {
        &self.program
    }

    fn arguments(&self, port: u16) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            vec!["-D".into(), self.cluster.folder().into(), "-p".into(), port.to_string().into()];
        let defaults = [
            ("listen_addresses", "127.0.0.1"),
            // Socket paths have at most 107 bytes, which a clone in a deep folder exceeds.
            ("unix_socket_directories", ""),
            ("max_connections", "200"),
            ("fsync", "on"),
            ("synchronous_commit", "on"),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
        ];
        let preload = self.preload.then_some(("shared_preload_libraries", "pg_stat_statements"));
        let own = self.options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in defaults.into_iter().chain(preload).chain(own) {
            arguments.push("-c".into());
            arguments.push(format!("{name}={value}").into());
        }
        arguments
    }

    async fn prepare(&mut self, _port: u16) -> Result<()> {
        end_predecessor(self.cluster.folder()).await?;
        self.cluster.ensure().await
    }

    /// The postmaster writes its pid and state to a file; then one query shows that it responds.
    async fn answers(&self, port: u16, pid: u32) -> Result<bool> {
        let note = std::fs::read_to_string(pid_file(self.cluster.folder()))?;
        let ours = note.lines().next().is_some_and(|line| line.trim() == pid.to_string());
        let ready = note.lines().nth(7).is_some_and(|line| line.trim() == "ready");
        if !ours || !ready {
            return Ok(false);
        }
        let (client, connection) = tokio_postgres::connect(&self.url(port, "postgres"), NoTls).await?;
        let query = async move { client.simple_query("SELECT 1").await };
        let (answer, connection) = tokio::join!(query, connection);
        connection?;
        Ok(answer.is_ok())
    }

    fn wiped(&self) -> PathBuf {
        self.cluster.folder().to_owned()
    }

    fn start_timeout(&self) -> Duration {
        self.start_timeout
    }
}

/// Ends a postmaster that still runs on this folder, which the caller has claimed, and removes a stale `postmaster.pid`:
/// its pid may belong to another program by now, and PostgreSQL would refuse to start.
async fn end_predecessor(folder: &Path) -> Result<()> {
    let file = pid_file(folder);
    let Ok(note) = std::fs::read_to_string(&file) else { return Ok(()) };
    if let Some(pid) = note.lines().next().and_then(|line| line.trim().parse().ok()) {
        tree::end_leftover(pid, "postgres", folder, Signal::INT).await;
    }
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("cannot remove a stale postmaster.pid")
        }
        _ => Ok(()),
    }
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("postmaster.pid")
}

/// Looks for pg_stat_statements in the library folders of known builds.
fn has_statement_statistics(bin: &Path) -> bool {
    let Some(prefix) = bin.parent() else { return false };
    ["lib", "lib/postgresql", "lib64/pgsql"]
        .iter()
        .flat_map(|folder| ["so", "dylib"].map(|kind| prefix.join(folder).join(format!("pg_stat_statements.{kind}"))))
        .any(|library| library.exists())
}
