//! `fleet db`: what PostgreSQL itself reports about the fleet's databases.
//!
//! Owns the queries on its statistics. They only read, except that the extension pg_stat_statements is created in the
//! database `postgres` where it is missing. Each has a time limit, and one that fails doesn't keep the others from
//! being shown.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand, value_parser};
use flotilla_config::HumanDuration;

use self::{
    report::{Limits, Report},
    session::Session,
};
use crate::home::{
    Home,
    state::{State, without_password},
};

mod report;
mod session;
mod table;

/// The database of the extension pg_stat_statements, which counts the statements of all.
const SHARED: &str = "postgres";

/// `fleet db`.
#[derive(Debug, Args)]
pub struct Options {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the statements that take the most time, tables that may lack an index, unused indexes, bloat, long
    /// transactions and what the outboxes hold. Only reads; exits with 1 if a part can't be read.
    Top(TopOptions),
}

/// Options of `fleet db top`.
#[derive(Debug, Args)]
pub struct TopOptions {
    /// Maximum number of rows of each table.
    #[arg(long, short = 'n', value_name = "ROWS", default_value_t = 10, value_parser = value_parser!(i64).range(1..=1000))]
    pub limit: i64,
    /// Number of rows from which a table that is often read in full is shown.
    #[arg(long, value_name = "ROWS", default_value_t = 10_000, value_parser = value_parser!(i64).range(1..))]
    pub large: i64,
    /// Age from which a transaction is shown.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub long: HumanDuration,
    /// Afterwards forget what was counted of statements, so that the next report shows only new calls.
    #[arg(long)]
    pub reset: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// When no fleet is up or its PostgreSQL doesn't respond.
pub async fn run(home: &Home, options: Options) -> Result<ExitCode> {
    let Command::Top(options) = options.command;
    let state = State::of_running(home)?;
    let limits = Limits { rows: options.limit, large: options.large, long: options.long.get() };
    let shared = Session::open(SHARED, &state.database_url(SHARED)).await?;
    let report = Report::read(&state, &shared, limits).await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", table::render(&report, &without_password(&state.postgres_url), limits));
    }
    if options.reset {
        shared.execute("SELECT pg_stat_statements_reset()").await?;
    }
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
