//! `fleet load`: measures the fleet on this machine, and bare PostgreSQL for comparison, in one run.
//!
//! Orders, of two lines unless told otherwise, are placed over the gateway's gRPC, open loop: they are due at a fixed
//! rate whether or not earlier ones were answered. Tokens are created beforehand. Settlement times come from the orders'
//! own accepted and ended times. At the end, the cost of the gateway is measured: gRPC, REST, and Envoy's REST.

mod alone;
mod baseline;
mod bench;
mod connection;
mod counts;
mod edge;
mod generator;
mod history;
mod hold;
mod limits;
mod offered;
pub mod otlp_receiver;
mod overhead;
mod print;
mod report;
mod rest;
mod rows;
mod syncs;
mod usage;
mod wal;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use flotilla_checker::{self as checker, Databases};
use flotilla_terminal::Progress;

pub use self::{baseline::Baseline, limits::Limits, offered::Offered};
use self::{
    bench::Bench,
    generator::Offer,
    report::{MemoryFigures, Others, Report},
    usage::Snapshot,
};
use crate::{client::Api, fleet::Fleet};

const SETTLE_PATIENCE: Duration = Duration::from_secs(30);
/// Fraction of the maximum rate at which latencies are measured.
const EASY: f64 = 0.7;
/// Orders per second while a transaction is held open.
const HELD_RATE: f64 = 100.0;
/// Rounds of a run whose figures are kept.
const ROUNDS: u32 = 3;

/// Options of `fleet load`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Duration of each measurement in seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Place this many orders per second instead of searching for the maximum.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Measure bare PostgreSQL before each measurement at full load, for the ratio.
    #[arg(long)]
    pub baseline: bool,
    /// Number of measurements at full load (default: 3 with --json, otherwise 1). The report shows the median.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// Write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only_edge", "only_orders"])]
    pub json: Option<PathBuf>,
    /// What an order may cost the databases.
    #[command(flatten)]
    pub limits: Limits,
    /// The orders to place.
    #[command(flatten)]
    pub offered: Offered,
    /// Write this many settled orders of the past year to the databases, with --products products called history-0,
    /// history-1 and so on, and measure nothing. For a fleet that serves measurements only.
    #[arg(long, value_name = "ORDERS", conflicts_with_all = ["only_edge", "only_orders", "json", "baseline", "hold_transaction"])]
    pub history: Option<u64>,
    /// Hold a transaction that has written something open for so many seconds while orders are placed at --rate (default:
    /// 100 per second), and print as one line of JSON how far the relays fall behind and how fast they catch up.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["only_edge", "only_orders", "json", "baseline"])]
    pub hold_transaction: Option<u64>,
    /// Orders in flight while searching for the maximum.
    #[arg(long, default_value_t = 512)]
    pub in_flight: usize,
    /// Path of Envoy, to compare its transcoding with the gateway's.
    #[arg(long, value_name = "PROGRAM")]
    pub envoy: Option<PathBuf>,
    /// Measure only the cost of the gateway.
    #[arg(long)]
    pub only_edge: bool,
    /// Measure only orders, at full load or at --rate, and print one line of JSON.
    #[arg(long, conflicts_with = "only_edge")]
    pub only_orders: bool,
    /// With --only-orders: scrape the metrics of every service each second meanwhile.
    #[arg(long, requires = "only_orders")]
    pub scrape: bool,
}

impl Options {
    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.max(1))
    }

    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.json.is_some() { ROUNDS } else { 1 })
    }
}

/// Measures and prints, with bare PostgreSQL where there is a `baseline`; `folder` is for Envoy's files. Exit code 1 when
/// an invariant is broken or a count exceeds its limit.
///
/// # Errors
/// When orders can't be placed or don't end.
pub async fn run(fleet: &Fleet, baseline: Option<Baseline>, folder: &Path, options: Options) -> Result<ExitCode> {
    let databases = Databases::open(&fleet.stores).await?;
    if let Some(orders) = options.history {
        history::write(&databases, orders, options.offered.products).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut progress = Progress::new();
    let seconds = options.duration();
    let memory_before = MemoryFigures::of(&Snapshot::take(&fleet.members).usage());
    progress.show("creating the catalogue and the customers");
    let api = Api::of(fleet)?;
    let operator = api.operator(fleet).await?;
    let shop = Arc::new(options.offered.shop(&api, &operator).await?);
    let envoy = options.envoy.as_deref().filter(|program| !program.as_os_str().is_empty());
    let envoy = envoy.map(|program| (program, folder));
    if options.only_edge {
        edge::run(fleet, &shop, envoy, seconds, &mut progress).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let bench = Bench { fleet, databases: &databases, shop: &shop, offered: &options.offered };
    if options.only_orders {
        return overhead::run(&bench, &options).await;
    }

    if let Some(held) = options.hold_transaction {
        return hold::run(&bench, options.rate.unwrap_or(HELD_RATE), Duration::from_secs(held)).await;
    }

    let pgbench = baseline.map(|baseline| baseline.pgbench(seconds)).transpose()?;
    let rounds = bench.rounds(pgbench, &options, &mut progress).await?;
    let full = &report::median(&rounds).full;
    progress.show(&format!("{:.0} orders/s offered", full.rate * EASY));
    let easy = bench.measure(Offer::PerSecond(full.rate * EASY), seconds).await?;
    progress.show("one order after the other");
    let alone_ms = alone::run(fleet, &shop).await?;
    let rest = bench.rest(seconds / 2, &mut progress).await?;
    progress.clear();

    print::report(fleet, &rounds, &easy, alone_ms, &options.limits);
    print::rest(rest.as_ref());
    let edge = edge::run(fleet, &shop, envoy, seconds, &mut progress).await?;
    if let Some(file) = &options.json {
        let others = Others { easy, alone_ms, rest, edge, memory_before };
        Report::new(fleet, &databases, &options, &rounds, others).await?.write(file)?;
    }
    let findings = checker::settled(&fleet.stores, SETTLE_PATIENCE, 0).await?;
    let code = checker::report(&findings);
    Ok(if print::exceeded(&options.limits, &full.counts) { ExitCode::FAILURE } else { code })
}

/// A count as a float.
#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^52")]
fn to_f64(count: i64) -> f64 {
    count as f64
}
