//! `fleet check`: whether the invariants of the running fleet hold.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use flotilla_checker as checker;

use crate::home::{Home, state::State};

/// Options of `fleet check`.
#[derive(Debug, Args)]
pub struct Options {
    /// Seconds to wait for orders and messages that are still in progress.
    #[arg(long, default_value_t = 30)]
    pub wait: u64,
    /// Number of parked messages that were planted on purpose.
    #[arg(long, default_value_t = 0)]
    pub planted: i64,
}

/// Checks the running fleet; exit code 1 if an invariant is broken.
///
/// # Errors
/// When no fleet is up or its databases can't be read.
pub async fn run(home: &Home, options: Options) -> Result<ExitCode> {
    let state = State::of_running(home)?;
    let findings = checker::settled(&state.stores()?, Duration::from_secs(options.wait), options.planted).await?;
    Ok(checker::report(&findings))
}
