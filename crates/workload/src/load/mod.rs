//! `fleet load`: measures the fleet on this machine, and bare PostgreSQL for comparison, in one run.
//!
//! Orders of two lines are placed over the gateway's gRPC, open loop: they are due at a fixed rate whether or not
//! earlier ones were answered. Tokens are created beforehand. Settlement times come from the orders' own accepted and
//! ended times. At the end, the cost of the gateway is measured: gRPC, REST, and Envoy's REST.

mod baseline;
mod edge;
mod generator;
pub mod otlp_receiver;
mod overhead;
mod rest;
mod syncs;
mod usage;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use flotilla_checker::{self as checker, Databases};
use flotilla_terminal::{Progress, Table, bold, good, mib};

pub use self::baseline::Baseline;
use self::{
    generator::Offer,
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
    /// Fail when a settled order costs more database syncs than this at full load.
    #[arg(long)]
    pub most_syncs: Option<f64>,
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

/// One measurement.
struct Measured {
    outcomes: Outcomes,
    accept_ms: [f64; 3],
    refused: u64,
    syncs_per_order: f64,
    usage: Usage,
}

/// Measures and prints; `baseline` comes first where there is one, `folder` is for Envoy's files. Exit code 1 when an
/// invariant is broken or syncs exceed the limit.
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
        let offer = options.rate.map_or(Offer::InFlight(options.in_flight), Offer::PerSecond);
        overhead::run(&bench, offer, seconds, options.scrape).await?;
        return Ok(ExitCode::SUCCESS);
    }

    let (most, full) = bench.most(&options, seconds, &mut progress).await?;
    progress.show(&format!("{:.0} orders/s offered", most * EASY));
    let easy = bench.measure(Offer::PerSecond(most * EASY), seconds).await?;
    let rest = bench.rest(seconds / 2, &mut progress).await?;
    progress.clear();

    print(fleet, &full, &easy, bare);
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
    if let Some(most) = options.most_syncs
        && full.syncs_per_order > most
    {
        println!("{:.3} syncs per settled order exceed the limit of {most}", full.syncs_per_order);
        return Ok(ExitCode::FAILURE);
    }
    Ok(code)
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
    async fn most(&self, options: &Options, seconds: Duration, progress: &mut Progress) -> Result<(f64, Measured)> {
        if let Some(rate) = options.rate {
            return Ok((rate, self.measure(Offer::PerSecond(rate), seconds).await?));
        }
        progress.show("warming up");
        self.measure(Offer::InFlight(options.in_flight), seconds / 2).await?;
        progress.show("looking for the maximum");
        let mut rate = self.measure(Offer::InFlight(options.in_flight), seconds).await?.outcomes.per_second;
        let mut step = 1;
        loop {
            progress.show(&format!("full load: {rate:.0} orders/s offered"));
            let measured = self.measure(Offer::PerSecond(rate), seconds).await?;
            let keeps_up = measured.refused == 0 && measured.outcomes.per_second > rate * KEEPS_UP;
            if !keeps_up && step == MOST_STEPS {
                progress.clear();
                println!("the fleet didn't keep up with any rate: other processes are busy on this machine");
            }
            if keeps_up || step == MOST_STEPS {
                return Ok((rate, measured));
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

    async fn measure(&self, offer: Offer, duration: Duration) -> Result<Measured> {
        let since = outcome::now(self.databases).await?;
        let syncs_before = syncs::count(self.databases).await?;
        let before = Snapshot::take(&self.fleet.members);
        let accepted = generator::run(self.fleet, self.shop, offer, duration).await?;
        outcome::until_ended(self.databases, since, END_PATIENCE, |_| ()).await?;
        let after = Snapshot::take(&self.fleet.members);
        let outcomes = outcome::since(self.databases, since).await?;
        let syncs = syncs::count_settled(self.databases).await? - syncs_before;
        let orders: i64 = outcomes.groups.iter().map(|group| group.orders).sum();
        let each = |total: f64| if orders == 0 { f64::NAN } else { total / to_f64(orders) };
        Ok(Measured {
            accept_ms: accepted.latency_ms,
            refused: accepted.refused,
            syncs_per_order: each(to_f64(syncs)),
            usage: after.since(&before, orders),
            outcomes,
        })
    }
}

fn print(fleet: &Fleet, full: &Measured, easy: &Measured, bare: Option<f64>) {
    println!("{}", bold("full load (open loop, gRPC, orders of two lines)"));
    println!("  settled: {} orders/s", good(&format!("{:.0}", full.outcomes.per_second)));
    if let Some(bare) = bare {
        println!(
            "  bare PostgreSQL (bench/baseline.sql): {bare:.0} transactions/s; ratio {}",
            good(&format!("{:.2}", full.outcomes.per_second / bare))
        );
    }
    println!("  database syncs for each settled order: {:.3}", full.syncs_per_order);
    print_latency(full);
    println!("{}", bold("at 70% of it"));
    print_latency(easy);
    println!("{}", bold("cost at full load"));
    let mut table = Table::new(&["process", ">CPU us/order", ">resident", ">proportional", ">ready in"]);
    for process in &full.usage.processes {
        let start =
            fleet.members.iter().find(|member| member.process() == process.name).and_then(|member| member.start_ms);
        table.row([
            process.name.clone(),
            format!("{:.0}", process.cpu_us_per_order),
            mib(process.memory.resident),
            mib(process.memory.proportional),
            start.map(|ms| format!("{ms} ms")).unwrap_or_default(),
        ]);
    }
    print!("{}", table.render());
    let services = full.usage.services();
    println!("services together: {} resident, {} proportional", mib(services.resident), mib(services.proportional));
    println!("CPU of others on this machine meanwhile: {:.0}% of one core", full.usage.foreign_percent);
}

fn print_latency(measured: &Measured) {
    let [half, ninety, ninety_nine, longest] = measured.outcomes.latency_ms;
    let [accept_half, accept_ninety_nine, accept_longest] = measured.accept_ms;
    println!(
        "  accepted to settled: p50 {half:.1} ms, p90 {ninety:.1} ms, p99 {ninety_nine:.1} ms, longest {longest:.1} ms"
    );
    println!(
        "  due to accepted: p50 {accept_half:.1} ms, p99 {accept_ninety_nine:.1} ms, longest {accept_longest:.1} ms; {} refused",
        measured.refused
    );
}

/// A count as a float.
#[expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^52")]
fn to_f64(count: i64) -> f64 {
    count as f64
}
