//! Bare PostgreSQL: `bench/baseline.sql` by pgbench, on the same server, with the fleet idle.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;
use tokio_postgres::{Config, NoTls, config::Host};

/// The script.
const SCRIPT: &str = include_str!("../../../../bench/baseline.sql");
/// The definition of its tables.
const SCHEMA: &str = include_str!("../../../../bench/schema.sql");
/// Its tables are dropped and recreated, so no database of a user may have this name.
const DATABASE: &str = "flotilla_bench";
const CLIENTS: &str = "32";

/// What the measurement of bare PostgreSQL needs.
pub struct Baseline {
    /// A superuser's URL of the server. Its database isn't used: the measurement makes one of its own.
    pub postgres_url: String,
    /// The command `pgbench`, run as a user who may.
    pub pgbench: Command,
    /// A folder that the user of `pgbench` can read: the checkout may be closed to it.
    pub folder: PathBuf,
}

/// `pgbench`, ready to be run as often as wanted.
pub(super) struct Pgbench {
    config: Config,
    command: Command,
}

impl Baseline {
    /// Writes the script and puts the command together.
    ///
    /// # Errors
    /// When the address isn't valid, or the script can't be written.
    pub(super) fn pgbench(self, duration: Duration) -> Result<Pgbench> {
        let Self { postgres_url, pgbench: mut command, folder } = self;
        let config: Config = postgres_url.parse()?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            _ => bail!("the address of PostgreSQL isn't a TCP address"),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
        let script = folder.join("baseline.sql");
        fs::write(&script, SCRIPT)?;
        command.args(["-n", "-M", "prepared", "-c", CLIENTS, "-j", "2", "-h", &host, "-p", &port]);
        command.args(["-U", config.get_user().unwrap_or("postgres"), "-T", &duration.as_secs().max(1).to_string()]);
        command.arg("-f").arg(&script).arg(DATABASE);
        if let Some(password) = config.get_password() {
            command.env("PGPASSWORD", std::str::from_utf8(password)?);
        }
        Ok(Pgbench { config, command })
    }
}

impl Pgbench {
    /// Measures transactions per second, on new tables.
    ///
    /// # Errors
    /// When pgbench can't be run, or settings of the server would make the comparison unfair.
    pub(super) async fn measure(&mut self) -> Result<f64> {
        prepare(&mut self.config.clone()).await?;
        let output = self.command.output().await.context("can't start pgbench")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
        rate.with_context(|| format!("pgbench failed: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// Creates the database and its tables, and checks that commits are synced. Doesn't change the server's configuration.
async fn prepare(config: &mut Config) -> Result<()> {
    let (client, connection) = config.dbname("postgres").connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    for (setting, wanted) in [("fsync", "on"), ("synchronous_commit", "on")] {
        let row = client.query_one("SELECT current_setting($1)", &[&setting]).await?;
        let value: String = row.try_get(0)?;
        if value != wanted {
            bail!("{setting} is {value}: the comparison needs {wanted}");
        }
    }
    let there = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE]).await?;
    if there.is_none() {
        client.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
    }
    drop(client);
    driver.await??;
    let (client, connection) = config.dbname(DATABASE).connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    client.batch_execute(SCHEMA).await?;
    drop(client);
    driver.await??;
    Ok(())
}
