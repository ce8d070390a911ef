//! The checker: reads the databases and the streams, asks no service, and says whether the fleet kept its promises.
//!
//! Each invariant is one function in one file by subject. Large tables are compared by merging two sorted streams of
//! rows, so that memory stays flat.

mod access;
mod ledger;
mod merge;
mod messages;
mod orders;
mod stock;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use flotilla_terminal::{bad, good};
use tokio::time::Instant;

pub use self::access::Databases;
use crate::{home::Home, state::State};

/// How often a fleet that is still settling is checked again.
const PAUSE: Duration = Duration::from_millis(250);

/// Options of `fleet check`.
#[derive(Debug, Args)]
pub struct Options {
    /// Wait so many seconds for orders and messages that are still on their way.
    #[arg(long, default_value_t = 30)]
    pub wait: u64,
    /// Parked messages that were planted on purpose.
    #[arg(long, default_value_t = 0)]
    pub planted: i64,
}

/// One invariant and whether it holds.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The promise, as a sentence.
    pub invariant: &'static str,
    /// What was counted, or what is wrong.
    pub detail: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Finding {
    /// An invariant that holds when `wrong` is empty.
    #[must_use]
    pub fn of(invariant: &'static str, checked: impl std::fmt::Display, wrong: &[String]) -> Self {
        let holds = wrong.is_empty();
        let detail = if holds {
            checked.to_string()
        } else {
            let few: Vec<_> = wrong.iter().take(5).map(String::as_str).collect();
            format!("{} wrong: {}", wrong.len(), few.join("; "))
        };
        Self { invariant, detail, holds }
    }
}

/// Checks the fleet that is up; exit code 1 when an invariant is broken.
///
/// # Errors
/// When no fleet is up or its databases can't be read.
pub async fn run(home: &Home, options: Options) -> Result<ExitCode> {
    let state = State::of_running(home)?;
    let findings = settled(&state, Duration::from_secs(options.wait), options.planted).await?;
    Ok(report(&findings))
}

/// Checks again and again until everything holds or the time is over, and returns the last findings.
///
/// # Errors
/// When the databases can't be read.
pub async fn settled(state: &State, patience: Duration, planted: i64) -> Result<Vec<Finding>> {
    let until = Instant::now() + patience;
    loop {
        let findings = check(state, planted).await;
        match findings {
            Ok(findings) if findings.iter().all(|finding| finding.holds) || Instant::now() >= until => {
                return Ok(findings);
            }
            Err(error) if Instant::now() >= until => return Err(error),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Checks all invariants once.
///
/// # Errors
/// When a database or the broker can't be read.
pub async fn check(state: &State, planted: i64) -> Result<Vec<Finding>> {
    let databases = Databases::open(state).await?;
    let mut findings = messages::check(&databases, planted).await?;
    findings.extend(orders::check(&databases).await?);
    findings.extend(stock::check(&databases).await?);
    findings.extend(ledger::check(&databases).await?);
    Ok(findings)
}

/// Prints the findings; exit code 1 when one is broken.
#[must_use]
pub fn report(findings: &[Finding]) -> ExitCode {
    println!("\ninvariants");
    for finding in findings {
        let mark = if finding.holds { good("holds ") } else { bad("BROKEN") };
        println!("  {mark}  {} ({})", finding.invariant, finding.detail);
    }
    if findings.iter().all(|finding| finding.holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
