//! `fleet load`: measures the fleet on this machine, and bare PostgreSQL for comparison, in one run.
//!
//! Orders of two lines are placed over the gateway's gRPC, open loop: they are due at a fixed rate whether or not
//! earlier ones were answered. Tokens are created beforehand. Settlement times come from the orders' own accepted and
//! ended times. At the end, the cost of the gateway is measured: gRPC, REST, and Envoy's REST.

mod baseline;
mod counts;
mod edge;
mod generator;
mod limits;
pub mod otlp_receiver;
mod overhead;
mod print;
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

pub use self::{baseline::Baseline, limits::Limits};
use self::{
    counts::{Counter, Counts},
    generator::Offer,
    rows::RowWrites,
    usage::{Snapshot, Usage},
};
use crate::{
    client::Api,
    demo::{self, Shop},
    fleet::Fleet,
    outcome::{self, Outcomes},
};

const END_PATIENCE: Duration = Duration::from_secs(120);
const SETTLE_PATIENCE: Duration = Duration::from_secs(30);
/// Fraction of the maximum rate at which latencies are measured.
const EASY: f64 = 0.7;

/// Number of rates to try before giving up because the machine is too noisy.
const MOST_STEPS: u32 = 6;
/// The factor from one rate to the next.
const STEP_DOWN: f64 = 0.92;
/// A fleet that settles this fraction of the offered rate keeps up with it: the last orders settle after the end.
const KEEPS_UP: f64 = 0.92;

/// Options of `fleet load`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Duration of each measurement in seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Place this many orders per second instead of searching for the maximum.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Measure bare PostgreSQL first, for the ratio.
    #[arg(long)]
    pub baseline: bool,
    /// What an order may cost the databases.
    #[command(flatten)]
    pub limits: Limits,
    /// Orders in flight while searching for the maximum.
    #[arg(long, default_value_t = 512)]
    pub in_flight: usize,
    /// Path of Envoy, to compare its transcoding with the gateway's.
    #[arg(long, value_name = "PROGRAM")]
    pub envoy: Option<PathBuf>,
    /// Measure only the cost of the gateway.
    #[arg(long)]
    pub only_edge: bool,
    /// Measure only orders at full load, and print one line of JSON.
    #[arg(long, conflicts_with = "only_edge")]
    pub only_orders: bool,
    /// With --only-orders: scrape the metrics of every service each second meanwhile.
    #[arg(long, requires = "only_orders")]
    pub scrape: bool,
}

/// One measurement.
struct Measured {
    outcomes: Outcomes,
    accept_ms: [f64; 3],
    refused: u64,
    usage: Usage,
}

/// The measurement at the highest rate, with what an order costs the databases.
struct Full {
    rate: f64,
    measured: Measured,
    counts: Counts,
    rows: RowWrites,
}

/// Measures and prints; `baseline` comes first where there is one, `folder` is for Envoy's files. Exit code 1 when an
/// invariant is broken or a count exceeds its limit.
///
/// # Errors
/// When orders can't be placed or don't end.
pub async fn run(fleet: &Fleet, baseline: Option<Baseline>, folder: &Path, options: Options) -> Result<ExitCode> {
    let databases = Databases::open(&fleet.stores).await?;
    let mut progress = Progress::new();
    let seconds = Duration::from_secs(options.seconds.max(1));
    let bare = match baseline {
        Some(baseline) if !options.only_edge && !options.only_orders => {
            progress.show("bare PostgreSQL: pgbench with 32 clients");
            Some(baseline.measure(seconds).await?)
        }
        _ => None,
    };
    progress.show("creating the catalogue and the customers");
    let api = Api::of(fleet)?;
    let operator = api.operator(fleet).await?;
    let crowd = demo::Options { products: 200, customers: 64, orders: 0, concurrency: 1, seed: Some(1) };
    let shop = Arc::new(Shop::open_unlimited(&api, &operator, &crowd, 1).await?);
    let envoy = options.envoy.as_deref().filter(|program| !program.as_os_str().is_empty());
    let envoy = envoy.map(|program| (program, folder));
    if options.only_edge {
        edge::run(fleet, &shop, envoy, seconds, &mut progress).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let bench = Bench { fleet, databases: &databases, shop: &shop };
    if options.only_orders {
        return overhead::run(&bench, &options, seconds).await;
    }

    let full = bench.most(&options, seconds, &mut progress).await?;
    progress.show(&format!("{:.0} orders/s offered", full.rate * EASY));
    let easy = bench.measure(Offer::PerSecond(full.rate * EASY), seconds).await?;
    let rest = bench.rest(seconds / 2, &mut progress).await?;
    progress.clear();

    print::report(fleet, &full, &easy, bare, &options.limits);
    match rest {
        None => println!("SKIPPED REST: the measurement works only without TLS"),
        Some(rest) => println!(
            "REST: {:.0} orders/s accepted over {} connections, p50 {:.1} ms, p99 {:.1} ms",
            rest.per_second, rest.connections, rest.p50_ms, rest.p99_ms
        ),
    }
    edge::run(fleet, &shop, envoy, seconds, &mut progress).await?;
    let findings = checker::settled(&fleet.stores, SETTLE_PATIENCE, 0).await?;
    let code = checker::report(&findings);
    Ok(if print::exceeded(&options.limits, &full.counts) { ExitCode::FAILURE } else { code })
}

/// The context of all measurements.
struct Bench<'a> {
    fleet: &'a Fleet,
    databases: &'a Databases,
    shop: &'a Arc<Shop>,
}

impl Bench<'_> {
    /// Finds the highest rate that the fleet sustains open loop, and returns the measurement at it.
    ///
    /// A closed loop estimates it; from there the rate is lowered until the fleet keeps up: nothing is refused, and
    /// orders settle at the rate at which they are placed.
    async fn most(&self, options: &Options, seconds: Duration, progress: &mut Progress) -> Result<Full> {
        if let Some(rate) = options.rate {
            counts::until_published().await;
            return Ok(Full { rate, ..self.measure_counted(Offer::PerSecond(rate), seconds).await? });
        }
        progress.show("warming up");
        self.measure(Offer::InFlight(options.in_flight), seconds / 2).await?;
        progress.show("looking for the maximum");
        let mut rate = self.measure(Offer::InFlight(options.in_flight), seconds).await?.outcomes.per_second;
        counts::until_published().await;
        let mut step = 1;
        loop {
            progress.show(&format!("full load: {rate:.0} orders/s offered"));
            let full = self.measure_counted(Offer::PerSecond(rate), seconds).await?;
            let measured = &full.measured;
            let keeps_up = measured.refused == 0 && measured.outcomes.per_second > rate * KEEPS_UP;
            if !keeps_up && step == MOST_STEPS {
                progress.clear();
                println!("the fleet didn't keep up with any rate: other processes are busy on this machine");
            }
            if keeps_up || step == MOST_STEPS {
                return Ok(Full { rate, ..full });
            }
            rate *= STEP_DOWN;
            step += 1;
        }
    }

    /// The same orders by REST.
    async fn rest(&self, duration: Duration, progress: &mut Progress) -> Result<Option<rest::Rest>> {
        if self.fleet.has_tls() {
            return Ok(None);
        }
        progress.show("REST");
        let since = outcome::now(self.databases).await?;
        let rest = rest::run(self.fleet, self.shop, duration).await?;
        outcome::until_ended(self.databases, since, END_PATIENCE, |_| ()).await?;
        Ok(Some(rest))
    }

    /// Measures with the counts of the databases; what was done before must have been published.
    async fn measure_counted(&self, offer: Offer, duration: Duration) -> Result<Full> {
        let counter = Counter::start(self.databases).await?;
        let measured = self.measure(offer, duration).await?;
        let (counts, rows) = counter.finish(self.databases, measured.outcomes.all()).await?;
        let rate = measured.outcomes.per_second;
        Ok(Full { rate, measured, counts, rows })
    }

    async fn measure(&self, offer: Offer, duration: Duration) -> Result<Measured> {
        let since = outcome::now(self.databases).await?;
        let before = Snapshot::take(&self.fleet.members);
        let accepted = generator::run(self.fleet, self.shop, offer, duration).await?;
        outcome::until_ended(self.databases, since, END_PATIENCE, |_| ()).await?;
        let after = Snapshot::take(&self.fleet.members);
        let outcomes = outcome::since(self.databases, since).await?;
        let usage = after.since(&before, outcomes.all());
        Ok(Measured { accept_ms: accepted.latency_ms, refused: accepted.refused, usage, outcomes })
    }
}

/// A count as a float.
#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^52")]
fn to_f64(count: i64) -> f64 {
    count as f64
}
