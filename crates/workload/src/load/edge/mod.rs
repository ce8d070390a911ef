//! Measures the cost of the gateway: one uncached unary call (`GetOrder`, by the order's customer), by native gRPC and
//! by transcoded REST through the gateway, and by Envoy's `grpc_json_transcoder` in front of the same service, in one
//! run on one machine. They take turns, so that other load on the machine affects all of them alike.

mod callers;
mod envoy;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use flotilla_terminal::{Progress, Table, bold, good};
use serde::Serialize;

use self::{
    callers::{Endpoint, Order, Protocol},
    envoy::Envoy,
};
use crate::{demo::Shop, fleet::Fleet};

/// Number of turns of each.
const ROUNDS: u32 = 4;
/// Warm-up before the measurement.
const WARM_UP: Duration = Duration::from_millis(500);
/// The target for the cost of a REST call, as a multiple of a gRPC call.
const AIM: f64 = 1.3;

/// One way to reach the orders, and its cost so far.
struct Entry {
    name: String,
    endpoint: Endpoint,
    process: u32,
    calls: u64,
    ticks: u64,
    seconds: f64,
}

/// What a call costs one way.
#[derive(Clone, Debug, Serialize)]
pub struct EdgeCost {
    /// The way: protocol, and Envoy where it isn't the gateway.
    pub name: String,
    /// Calls per second.
    pub calls_per_second: f64,
    /// CPU of the gateway, or of Envoy, for each call, in microseconds.
    pub cpu_us: f64,
}

/// Measures and prints. `envoy` is its program and a folder for its files; without it, Envoy is skipped.
///
/// # Errors
/// When a call is refused.
pub async fn run(
    fleet: &Fleet,
    shop: &Arc<Shop>,
    envoy: Option<(&Path, &Path)>,
    duration: Duration,
    progress: &mut Progress,
) -> Result<Vec<EdgeCost>> {
    if fleet.has_tls() {
        println!("SKIPPED edge: the comparison works only without TLS");
        return Ok(Vec::new());
    }
    progress.show("placing an order for each customer");
    let orders = Arc::new(orders(shop).await?);
    let envoy = match envoy {
        Some((program, folder)) => {
            let orders = &fleet.member("orders")?.address;
            Some(
                Envoy::start(program, folder, orders)
                    .await
                    .with_context(|| format!("can't run {}", program.display()))?,
            )
        }
        None => None,
    };
    let mut entries = entries(fleet, envoy.as_ref())?;
    let turn = (duration / ROUNDS).max(Duration::from_secs(1));
    for entry in &entries {
        entry.endpoint.run(&orders, WARM_UP).await.with_context(|| entry.name.clone())?;
    }
    for round in 1..=ROUNDS {
        for entry in &mut entries {
            progress.show(&format!("{}: turn {round} of {ROUNDS}", entry.name));
            entry.measure(&orders, turn).await?;
        }
    }
    progress.clear();
    print(&entries);
    if envoy.is_none() {
        println!("SKIPPED envoy: not found (run scripts/run/envoy.sh to see why)");
    }
    if let Some(envoy) = envoy {
        envoy.stop().await?;
    }
    Ok(entries.iter().map(Entry::figures).collect())
}

/// One order for each of the shop's customers.
async fn orders(shop: &Arc<Shop>) -> Result<Vec<Order>> {
    let (run, mut orders) = (rand::random::<u64>(), Vec::new());
    for number in 0..callers::IN_FLIGHT {
        let customer = shop.customer(number);
        let lines = shop.two_lines(number).into_iter().collect();
        let placed = customer.place_order(lines, &format!("edge-{run:x}-{number}")).await?;
        orders.push(Order { name: placed.name, authorization: customer.authorization() });
    }
    Ok(orders)
}

fn entries(fleet: &Fleet, envoy: Option<&Envoy>) -> Result<Vec<Entry>> {
    let gateway = fleet.member("gateway")?;
    let process = gateway.pid.context("the gateway isn't running")?;
    if gateway.process.is_some() {
        println!("the gateway shares one process with the services: the CPU time below is that of all of them");
    }
    let entry = |name: &str, protocol, address: &str, process| Entry {
        name: name.to_owned(),
        endpoint: Endpoint { protocol, address: address.to_owned() },
        process,
        calls: 0,
        ticks: 0,
        seconds: 0.0,
    };
    let mut entries = vec![
        entry("gRPC", Protocol::Grpc, &gateway.address, process),
        entry("REST over HTTP/1.1", Protocol::Http1, &gateway.address, process),
        entry("REST over HTTP/2", Protocol::Http2, &gateway.address, process),
    ];
    if let Some(envoy) = envoy {
        let name = format!("{}, HTTP/1.1", envoy.version);
        entries.push(entry(&name, Protocol::Http1, &envoy.address, envoy.process()?));
    }
    Ok(entries)
}

impl Entry {
    async fn measure(&mut self, orders: &Arc<Vec<Order>>, turn: Duration) -> Result<()> {
        let before = flotilla_process::cpu_ticks_of_tree(self.process).unwrap_or_default();
        let began = tokio::time::Instant::now();
        self.calls += self.endpoint.run(orders, turn).await.with_context(|| self.name.clone())?;
        self.seconds += began.elapsed().as_secs_f64();
        self.ticks += flotilla_process::cpu_ticks_of_tree(self.process).unwrap_or_default().saturating_sub(before);
        Ok(())
    }

    /// Seconds of CPU.
    #[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^52")]
    fn cpu(&self) -> f64 {
        self.ticks as f64 / flotilla_process::ticks_per_second().max(1) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "calls stay far below 2^52")]
    fn calls(&self) -> f64 {
        self.calls as f64
    }

    fn figures(&self) -> EdgeCost {
        EdgeCost { name: self.name.clone(), calls_per_second: self.calls() / self.seconds, cpu_us: self.cost_us() }
    }

    /// CPU of the proxy for one call, in microseconds.
    fn cost_us(&self) -> f64 {
        self.cpu() / self.calls().max(1.0) * 1e6
    }
}

fn print(entries: &[Entry]) {
    println!("{}", bold(&format!("the edge: GetOrder by its customer, {} in flight, no cache", callers::IN_FLIGHT)));
    let mut table = Table::new(&["way", ">calls/s", ">CPU us/call", ">calls for each CPU second"]);
    for entry in entries {
        table.row([
            entry.name.clone(),
            format!("{:.0}", entry.calls() / entry.seconds),
            format!("{:.1}", entry.cost_us()),
            format!("{:.0}", entry.calls() / entry.cpu()),
        ]);
    }
    print!("{}", table.render());
    let [grpc, http1, http2, others @ ..] = entries else { return };
    let ratio = |part: &Entry, whole: &Entry| good(&format!("{:.2}", part.cost_us() / whole.cost_us()));
    println!(
        "CPU of a call by REST beside one by gRPC: {} over HTTP/1.1, {} over HTTP/2 (aim: at most {AIM})",
        ratio(http1, grpc),
        ratio(http2, grpc)
    );
    for envoy in others {
        let more = ratio(envoy, http1);
        println!("REST calls for each CPU second beside {}: {more} times as many (aim: at least 1)", envoy.name);
    }
}
