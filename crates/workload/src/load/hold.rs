//! A transaction that stays open while orders are placed: how far the relays fall behind, and how fast they catch up.
//!
//! A relay publishes what lies below the oldest running transaction of the cluster, so that it skips nothing. One that has
//! written something and doesn't end holds all relays up.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use flotilla_checker::{self as checker, Databases};
use flotilla_terminal::Progress;
use serde::Serialize;
use tokio::time::Instant;
use tokio_postgres::NoTls;
use tokio_util::task::AbortOnDropHandle;

use super::{
    bench::Bench,
    generator::{self, Offer},
};
use crate::outcome;

/// How often the outboxes are read.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the relays and the orders may take afterwards.
const PATIENCE: Duration = Duration::from_secs(600);

/// What was seen.
#[derive(Debug, Serialize)]
struct Line {
    held_seconds: f64,
    orders: i64,
    /// By service: the greatest age of an unpublished frame.
    oldest_seconds: BTreeMap<String, f64>,
    /// By service: the greatest number of unpublished frames.
    most_frames: BTreeMap<String, i64>,
    /// From the end of the transaction until every outbox was published.
    published_after_seconds: f64,
    /// From the end of the transaction until every order was settled.
    settled_after_seconds: f64,
}

/// Holds a transaction open for `held` while orders are placed, and prints one line of JSON. Exit code 1 when an invariant
/// is broken.
///
/// # Errors
/// When orders can't be placed, or the relays don't catch up.
pub(super) async fn run(bench: &Bench<'_>, rate: f64, held: Duration) -> Result<ExitCode> {
    let mut progress = Progress::new();
    let since = outcome::now(bench.databases).await?;
    let (client, connection) = tokio_postgres::connect(bench.fleet.stores.database("orders")?, NoTls).await?;
    let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()").await?;
    let began = Instant::now();

    let mut worst = Backlog::default();
    let orders = generator::run(bench.fleet, bench.shop, bench.offered, Offer::PerSecond(rate), held);
    let mut orders = std::pin::pin!(orders);
    loop {
        tokio::select! {
            placed = &mut orders => {
                placed?;
                break;
            }
            () = tokio::time::sleep(PAUSE) => {
                worst.take_worst(&Backlog::read(bench.databases).await?);
                progress.show(&format!("holding a transaction: {:.0} s of {} s", began.elapsed().as_secs_f64(), held.as_secs()));
            }
        }
    }
    worst.take_worst(&Backlog::read(bench.databases).await?);
    let held_seconds = began.elapsed().as_secs_f64();
    client.batch_execute("COMMIT").await?;

    let ended = Instant::now();
    progress.show("the transaction has ended: waiting until the outboxes are published");
    while !Backlog::read(bench.databases).await?.is_empty() {
        anyhow::ensure!(ended.elapsed() < PATIENCE, "the relays haven't caught up after {} s", PATIENCE.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
    let published_after_seconds = ended.elapsed().as_secs_f64();
    outcome::until_ended(bench.databases, since, PATIENCE, |_| ()).await?;
    let settled_after_seconds = ended.elapsed().as_secs_f64();
    let findings = checker::settled(&bench.fleet.stores, PATIENCE, 0).await?;
    progress.clear();
    let orders = outcome::since(bench.databases, since).await?.all();
    let Backlog { oldest_seconds, most_frames } = worst;
    let line =
        Line { held_seconds, orders, oldest_seconds, most_frames, published_after_seconds, settled_after_seconds };
    let code = checker::report(&findings);
    println!("{}", serde_json::to_string(&line)?);
    Ok(code)
}

/// Unpublished frames by service.
#[derive(Default)]
struct Backlog {
    oldest_seconds: BTreeMap<String, f64>,
    most_frames: BTreeMap<String, i64>,
}

impl Backlog {
    async fn read(databases: &Databases) -> Result<Self> {
        let mut now = Self::default();
        for service in databases.services() {
            let sql = "SELECT pending, age FROM outbox_backlog(1000000)";
            let row = databases.of(service)?.query_one(sql, &[]).await.with_context(|| format!("{service}: {sql}"))?;
            now.most_frames.insert(service.to_owned(), row.try_get(0)?);
            now.oldest_seconds.insert(service.to_owned(), row.try_get(1)?);
        }
        Ok(now)
    }

    fn is_empty(&self) -> bool {
        self.most_frames.values().all(|frames| *frames == 0)
    }

    fn take_worst(&mut self, other: &Self) {
        for (service, frames) in &other.most_frames {
            let most = self.most_frames.entry(service.clone()).or_default();
            *most = (*most).max(*frames);
        }
        for (service, seconds) in &other.oldest_seconds {
            let oldest = self.oldest_seconds.entry(service.clone()).or_default();
            *oldest = oldest.max(*seconds);
        }
    }
}
