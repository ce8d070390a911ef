//! Bare PostgreSQL: `bench/baseline.sql` by pgbench, on the same server, with the fleet idle.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, bail};
use flotilla_servers::Layout;
use tokio_postgres::{Config, NoTls, config::Host};

use crate::{control::postgres_tool, home::Home, state::State};

/// The script, part of the project.
const SCRIPT: &str = include_str!("../../../../bench/baseline.sql");
/// Its tables.
const SCHEMA: &str = include_str!("../../../../bench/schema.sql");
/// Its tables are dropped and recreated, so no database of a user may have this name.
const DATABASE: &str = "flotilla_bench";
const CLIENTS: &str = "32";

/// Transactions in a second.
///
/// # Errors
/// When pgbench can't be run, or settings of the server would make the comparison unfair.
pub async fn run(home: &Home, state: &State, duration: Duration) -> Result<f64> {
    prepare(state).await?;
    let config: Config = state.database_url(DATABASE).parse()?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        _ => bail!("PostgreSQL isn't reached over TCP"),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    // A copy that the servers' user can read: the checkout may be closed to it.
    let script = Layout::open(home.servers())?.data(&home.server_name("bench"))?.join("baseline.sql");
    fs::write(&script, SCRIPT)?;
    let mut command = postgres_tool(home, "pgbench").await?;
    command.args(["-n", "-M", "prepared", "-c", CLIENTS, "-j", "2", "-h", &host, "-p", &port]);
    command.args(["-U", config.get_user().unwrap_or("postgres"), "-T", &duration.as_secs().max(1).to_string()]);
    command.arg("-f").arg(&script).arg(DATABASE);
    if let Some(password) = config.get_password() {
        command.env("PGPASSWORD", std::str::from_utf8(password)?);
    }
    let output = command.output().await.context("pgbench can't be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
    rate.with_context(|| format!("pgbench failed: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Makes the database and its tables, and sees that commits are synced.
async fn prepare(state: &State) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(&state.database_url("postgres"), NoTls).await?;
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
    let (client, connection) = tokio_postgres::connect(&state.database_url(DATABASE), NoTls).await?;
    let driver = tokio::spawn(connection);
    client.batch_execute(SCHEMA).await?;
    drop(client);
    driver.await??;
    Ok(())
}
