//! The figures of `fleet load` as JSON, from which the pages of `docs/bench` are made.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use flotilla_checker::Databases;
use flotilla_messaging::broker::nats::connect;
use serde::Serialize;

use super::{
    Options,
    bench::{Full, Measured, Round},
    counts::Counts,
    edge::EdgeCost,
    rest::Rest,
    rows::TableWrites,
    usage::Usage,
};
use crate::fleet::Fleet;

/// Everything that was measured.
#[derive(Serialize)]
pub(super) struct Report {
    build: &'static str,
    postgresql: String,
    nats: String,
    seconds: u64,
    rounds: Vec<RoundFigures>,
    /// Of the round with the median rate.
    full: Figures,
    /// At a part of the full load.
    easy: Figures,
    counts: Counts,
    row_writes: Vec<TableWrites>,
    alone_ms: [f64; 3],
    rest: Option<Rest>,
    edge: Vec<EdgeCost>,
    memory_before: MemoryFigures,
    memory_full: MemoryFigures,
    ready_ms: Vec<(String, u64)>,
}

#[derive(Serialize)]
struct RoundFigures {
    settled_per_second: f64,
    sustained: bool,
    foreign_percent: f64,
    bare: Option<BareFigures>,
    ratio: Option<f64>,
}

#[derive(Serialize)]
struct BareFigures {
    per_second: f64,
    foreign_percent: f64,
    /// CPU of PostgreSQL and pgbench for each transaction, in microseconds.
    cpu_us: f64,
}

#[derive(Serialize)]
struct Figures {
    settled_per_second: f64,
    settled_ms: Vec<(f64, f64)>,
    accepted_ms: [f64; 3],
    refused: u64,
    foreign_percent: f64,
    /// CPU for each order by process, in microseconds.
    cpu_us: Vec<(String, f64)>,
}

/// Memory of the six services together, in KiB.
#[derive(Clone, Copy, Serialize)]
pub(super) struct MemoryFigures {
    resident: u64,
    proportional: u64,
}

impl MemoryFigures {
    pub(super) fn of(usage: &Usage) -> Self {
        let memory = usage.services();
        Self { resident: memory.resident, proportional: memory.proportional }
    }
}

/// What is measured beside the rounds.
pub(super) struct Others {
    pub easy: Measured,
    pub alone_ms: [f64; 3],
    pub rest: Option<Rest>,
    pub edge: Vec<EdgeCost>,
    pub memory_before: MemoryFigures,
}

impl Report {
    pub(super) async fn new(
        fleet: &Fleet,
        databases: &Databases,
        options: &Options,
        rounds: &[Round],
        others: Others,
    ) -> Result<Self> {
        let row = databases.of("orders")?.query_one("SELECT current_setting('server_version')", &[]).await?;
        let nats = connect(&fleet.stores.nats_url).await.context("NATS doesn't respond")?;
        let Full { measured, counts, rows, .. } = &median(rounds).full;
        Ok(Self {
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            postgresql: row.try_get(0)?,
            nats: nats.server_info().version,
            seconds: options.seconds,
            rounds: rounds.iter().map(RoundFigures::of).collect(),
            full: Figures::of(measured),
            easy: Figures::of(&others.easy),
            counts: counts.clone(),
            row_writes: rows.each(measured.outcomes.all()),
            alone_ms: others.alone_ms,
            rest: others.rest,
            edge: others.edge,
            memory_before: others.memory_before,
            memory_full: MemoryFigures::of(&measured.usage),
            ready_ms: fleet.services().filter_map(|member| Some((member.name.clone(), member.start_ms?))).collect(),
        })
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, serde_json::to_vec_pretty(self)?).with_context(|| format!("can't write {}", file.display()))
    }
}

/// The round with the median rate; of an even number, the lower one of the two in the middle.
pub(super) fn median(rounds: &[Round]) -> &Round {
    let mut sorted: Vec<_> = rounds.iter().collect();
    sorted.sort_by(|one, other| {
        one.full.measured.outcomes.per_second.total_cmp(&other.full.measured.outcomes.per_second)
    });
    sorted[(sorted.len() - 1) / 2]
}

impl RoundFigures {
    fn of(round: &Round) -> Self {
        let measured = &round.full.measured;
        let bare = round.bare.as_ref().map(|bare| {
            // pgbench is a child of this process.
            let names = ["postgres", "load generator"];
            let costs = bare.usage.processes.iter().filter(|process| names.contains(&&*process.name));
            let cpu_us = costs.map(|process| process.cpu_us_per_order).sum();
            BareFigures { per_second: bare.per_second, foreign_percent: bare.usage.foreign_percent, cpu_us }
        });
        Self {
            settled_per_second: measured.outcomes.per_second,
            sustained: round.full.sustained,
            foreign_percent: measured.usage.foreign_percent,
            bare,
            ratio: round.ratio(),
        }
    }
}

impl Figures {
    fn of(measured: &Measured) -> Self {
        let costs = measured.usage.processes.iter().map(|process| (process.name.clone(), process.cpu_us_per_order));
        Self {
            settled_per_second: measured.outcomes.per_second,
            settled_ms: measured.settled_ms.clone(),
            accepted_ms: measured.accept_ms,
            refused: measured.refused,
            foreign_percent: measured.usage.foreign_percent,
            cpu_us: costs.collect(),
        }
    }
}
