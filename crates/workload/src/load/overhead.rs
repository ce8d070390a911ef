//! Measures only orders, at full load or at a given rate, and prints one line of JSON, which
//! `scripts/test/bench-telemetry.sh` and `scripts/test/bench-one-process.sh` compare.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use flotilla_terminal::Progress;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{Options, bench::Bench, counts, generator::Offer, print};
use crate::fleet::Fleet;

/// The scrape interval, shorter than usual, so that the cost shows.
const SCRAPE: Duration = Duration::from_secs(1);

/// One measurement.
#[derive(Serialize)]
struct Line {
    settled_per_second: f64,
    /// CPU of servers and services for an order, without the load generator, in microseconds.
    cpu_us: f64,
    /// The same for services only.
    services_cpu_us: f64,
    p50_ms: f64,
    /// CPU of other processes, in percent of one core.
    foreign_percent: f64,
    p99_ms: f64,
    /// Proportional memory of the services at the end, in MiB.
    services_mib: f64,
    /// What an order costs the databases.
    #[serde(flatten)]
    counts: counts::Counts,
}

/// KiB in a MiB.
const KIB: f64 = 1_024.0;

/// Warms up, measures, and prints. Exit code 1 when a count exceeds its limit.
///
/// # Errors
/// When orders don't end.
pub(super) async fn run(bench: &Bench<'_>, options: &Options) -> Result<ExitCode> {
    let offer = options.rate.map_or(Offer::InFlight(options.in_flight), Offer::PerSecond);
    let mut progress = Progress::new();
    progress.show("warming up");
    bench.measure(offer, options.duration() / 2).await?;
    counts::until_published().await;
    let stop = CancellationToken::new();
    let scraper = options.scrape.then(|| AbortOnDropHandle::new(scraper(bench.fleet, stop.clone())));
    progress.show("measuring");
    let full = bench.measure_counted(offer, options.duration()).await?;
    progress.clear();
    let measured = &full.measured;
    stop.cancel();
    if let Some(scraper) = scraper {
        scraper.await?;
    }
    let cpu = |services_only: bool| -> f64 {
        let counts = |name: &str, service: bool| name != "load generator" && (service || !services_only);
        measured.usage.processes.iter().filter(|p| counts(&p.name, p.is_service)).map(|p| p.cpu_us_per_order).sum()
    };
    let line = Line {
        settled_per_second: measured.outcomes.per_second,
        cpu_us: cpu(false),
        services_cpu_us: cpu(true),
        p50_ms: measured.outcomes.latency_ms[0],
        foreign_percent: measured.usage.foreign_percent,
        p99_ms: measured.outcomes.latency_ms[2],
        services_mib: measured.usage.services().proportional as f64 / KIB,
        counts: full.counts.clone(),
    };
    let exceeded = print::exceeded(&options.limits, &full.counts);
    println!("{}", serde_json::to_string(&line)?);
    Ok(if exceeded { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Scrapes every service's metrics once a second, like Prometheus.
fn scraper(fleet: &Fleet, stop: CancellationToken) -> JoinHandle<()> {
    let admins: Vec<String> = fleet.services().filter_map(|service| service.admin.clone()).collect();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(SCRAPE);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            for admin in &admins {
                // A service that can't be scraped now is scraped a second later.
                let _ = tokio::time::timeout(SCRAPE, read_metrics(admin)).await;
            }
        }
    })
}

async fn read_metrics(admin: &str) -> Result<()> {
    // Services of one process share the port: each has a path in it.
    let (host, base) = admin.split_at(admin.find('/').unwrap_or(admin.len()));
    let io = TokioIo::new(TcpStream::connect(host).await?);
    let (mut sender, connection) = http1::handshake(io).await?;
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(format!("{base}/metrics")).header(header::HOST, host).body(Empty::<Bytes>::new())?;
    sender.send_request(request).await?.into_body().collect().await?;
    drop(sender);
    Ok(connection.await??)
}
