//! The measurements: full load, a part of it, and bare PostgreSQL in turn with them.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use flotilla_checker::Databases;
use flotilla_terminal::Progress;

use super::{
    Options,
    baseline::Pgbench,
    counts::{self, Counter, Counts},
    generator::{self, Offer},
    offered::Offered,
    rest,
    rows::RowWrites,
    usage::{Snapshot, Usage},
};
use crate::{
    demo::Shop,
    fleet::Fleet,
    outcome::{self, Outcomes},
};

const END_PATIENCE: Duration = Duration::from_secs(120);
/// Number of rates to try before giving up because the machine is too noisy.
const MOST_STEPS: u32 = 6;
/// The factor from one rate to the next.
const STEP_DOWN: f64 = 0.92;
/// A fleet that settles this fraction of the offered rate keeps up with it: the last orders settle after the end.
const KEEPS_UP: f64 = 0.92;

/// One measurement.
pub(super) struct Measured {
    pub outcomes: Outcomes,
    /// How long it took until an order was settled: quantiles with their milliseconds.
    pub settled_ms: Vec<(f64, f64)>,
    pub accept_ms: [f64; 3],
    pub refused: u64,
    pub usage: Usage,
}

/// The measurement at the highest rate, with what an order costs the databases.
pub(super) struct Full {
    pub rate: f64,
    /// Whether the fleet kept up with the rate; false if the machine was too busy for every rate that was tried.
    pub sustained: bool,
    pub measured: Measured,
    pub counts: Counts,
    pub rows: RowWrites,
}

/// Bare PostgreSQL.
pub(super) struct Bare {
    pub per_second: f64,
    pub usage: Usage,
}

/// Bare PostgreSQL and full load, one after the other.
pub(super) struct Round {
    pub bare: Option<Bare>,
    pub full: Full,
}

impl Round {
    /// Settled orders beside transactions of bare PostgreSQL.
    pub fn ratio(&self) -> Option<f64> {
        self.bare.as_ref().map(|bare| self.full.measured.outcomes.per_second / bare.per_second)
    }
}

/// The context of all measurements.
pub(super) struct Bench<'a> {
    pub fleet: &'a Fleet,
    pub databases: &'a Databases,
    pub shop: &'a Arc<Shop>,
    pub offered: &'a Offered,
}

impl Bench<'_> {
    /// Measures bare PostgreSQL and full load in turn, so that other load on the machine affects both.
    pub async fn rounds(
        &self,
        mut pgbench: Option<Pgbench>,
        options: &Options,
        progress: &mut Progress,
    ) -> Result<Vec<Round>> {
        let mut rounds = Vec::new();
        for round in 1..=options.rounds() {
            let of = format!("round {round} of {}", options.rounds());
            let bare = match &mut pgbench {
                Some(pgbench) => {
                    progress.show(&format!("{of}: bare PostgreSQL, pgbench with 32 clients"));
                    Some(self.bare(pgbench, options.duration()).await?)
                }
                None => None,
            };
            if round == 1 && options.rate.is_none() {
                progress.show("warming up");
                self.measure(Offer::InFlight(options.in_flight), options.duration() / 2).await?;
            }
            rounds.push(Round { bare, full: self.most(options, &of, progress).await? });
        }
        Ok(rounds)
    }

    async fn bare(&self, pgbench: &mut Pgbench, duration: Duration) -> Result<Bare> {
        let before = Snapshot::take(&self.fleet.members);
        let per_second = pgbench.measure().await?;
        #[expect(clippy::cast_possible_truncation, reason = "a number of transactions")]
        let transactions = (per_second * duration.as_secs_f64()) as i64;
        Ok(Bare { per_second, usage: Snapshot::take(&self.fleet.members).since(&before, transactions) })
    }

    /// Finds the highest rate that the fleet sustains open loop, and returns the measurement at it.
    ///
    /// A closed loop estimates it; from there the rate is lowered until the fleet keeps up: nothing is refused, and
    /// orders settle at the rate at which they are placed.
    async fn most(&self, options: &Options, round: &str, progress: &mut Progress) -> Result<Full> {
        let seconds = options.duration();
        if let Some(rate) = options.rate {
            counts::until_published().await;
            return Ok(Full { rate, ..self.measure_counted(Offer::PerSecond(rate), seconds).await? });
        }
        progress.show(&format!("{round}: looking for the maximum"));
        let mut rate = self.measure(Offer::InFlight(options.in_flight), seconds).await?.outcomes.per_second;
        counts::until_published().await;
        let mut step = 1;
        loop {
            progress.show(&format!("{round}: full load, {rate:.0} orders/s offered"));
            let full = self.measure_counted(Offer::PerSecond(rate), seconds).await?;
            let measured = &full.measured;
            let keeps_up = measured.refused == 0 && measured.outcomes.per_second > rate * KEEPS_UP;
            if !keeps_up && step == MOST_STEPS {
                progress.clear();
                println!("the fleet didn't keep up with any rate: other processes are busy on this machine");
            }
            if keeps_up || step == MOST_STEPS {
                return Ok(Full { rate, sustained: keeps_up, ..full });
            }
            rate *= STEP_DOWN;
            step += 1;
        }
    }

    /// The same orders by REST.
    pub async fn rest(&self, duration: Duration, progress: &mut Progress) -> Result<Option<rest::Rest>> {
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
    pub async fn measure_counted(&self, offer: Offer, duration: Duration) -> Result<Full> {
        let counter = Counter::start(self.databases).await?;
        let measured = self.measure(offer, duration).await?;
        let (counts, rows) = counter.finish(self.databases, measured.outcomes.all()).await?;
        let rate = measured.outcomes.per_second;
        Ok(Full { rate, sustained: true, measured, counts, rows })
    }

    pub async fn measure(&self, offer: Offer, duration: Duration) -> Result<Measured> {
        let since = outcome::now(self.databases).await?;
        let before = Snapshot::take(&self.fleet.members);
        let accepted = generator::run(self.fleet, self.shop, self.offered, offer, duration).await?;
        outcome::until_ended(self.databases, since, END_PATIENCE, |_| ()).await?;
        let after = Snapshot::take(&self.fleet.members);
        let outcomes = outcome::since(self.databases, since).await?;
        let settled_ms = outcome::latencies(self.databases, since, &CURVE).await?;
        let settled_ms = CURVE.into_iter().zip(settled_ms).collect();
        let usage = after.since(&before, outcomes.all());
        Ok(Measured { accept_ms: accepted.latency_ms, refused: accepted.refused, usage, outcomes, settled_ms })
    }
}

/// The quantiles of the latency that are reported.
const CURVE: [f64; 15] = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999];
