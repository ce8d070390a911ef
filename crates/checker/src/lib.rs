//! The checker: reads the databases and the streams, without calling any service, and reports whether the fleet's
//! invariants hold.
//!
//! Each invariant is one function; files group them by subject. Large tables are compared by merging two sorted streams
//! of rows, so that memory use is constant.

#[macro_use(println)]
extern crate flotilla_terminal;

mod access;
mod applied;
mod finding;
mod ledger;
mod merge;
mod messages;
mod orders;
mod stock;
pub mod timeline;

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

pub use self::{
    access::{Databases, Stores},
    finding::{Finding, report},
    messages::durable_consumers,
};

/// How often a fleet with orders or messages in progress is checked again.
const PAUSE: Duration = Duration::from_millis(250);

/// Repeats the check until every invariant holds or the time is over, and returns the last findings.
///
/// # Errors
/// When the databases can't be read.
pub async fn settled(stores: &Stores, patience: Duration, planted: i64) -> Result<Vec<Finding>> {
    let until = Instant::now() + patience;
    loop {
        let findings = check(stores, planted).await;
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
pub async fn check(stores: &Stores, planted: i64) -> Result<Vec<Finding>> {
    let databases = Databases::open(stores).await?;
    let mut findings = messages::check(&databases, planted).await?;
    findings.extend(orders::check(&databases).await?);
    findings.extend(stock::check(&databases).await?);
    findings.extend(ledger::check(&databases).await?);
    Ok(findings)
}
