//! What orders cost the databases, as PostgreSQL counts it: syncs, row writes and the write-ahead log. Unlike rates and
//! CPU time, these counts hardly depend on what else the machine does.

use std::time::Duration;

use anyhow::Result;
use flotilla_checker::Databases;
use flotilla_terminal::Table;
use serde::Serialize;

use super::{
    limits::Limits,
    rows::RowWrites,
    syncs, to_f64,
    wal::{WalStart, WalUse},
};

/// PostgreSQL publishes the counts of an idle backend ten seconds after its last transaction.
const UNTIL_PUBLISHED: Duration = Duration::from_millis(10_500);

/// Waits until PostgreSQL has published the counts of everything that has ended by now.
pub async fn until_published() {
    tokio::time::sleep(UNTIL_PUBLISHED).await;
}

/// The counts at the start of a measurement.
pub struct Counter {
    syncs: i64,
    rows: RowWrites,
    wal: WalStart,
}

impl Counter {
    /// Starts to count. What was done before must have been published.
    ///
    /// # Errors
    /// When a database doesn't answer.
    pub async fn start(databases: &Databases) -> Result<Self> {
        let wal = WalStart::mark(databases).await?;
        Ok(Self { syncs: syncs::count(databases).await?, rows: RowWrites::read(databases).await?, wal })
    }

    /// Waits until everything is published, and returns what each of so many orders has cost, and the row writes behind
    /// it.
    ///
    /// # Errors
    /// When a database doesn't answer.
    pub async fn finish(self, databases: &Databases, orders: i64) -> Result<(Counts, RowWrites)> {
        until_published().await;
        let syncs = syncs::count(databases).await? - self.syncs;
        let rows = RowWrites::read(databases).await?.since(&self.rows);
        let WalUse { records, bytes, image_bytes } = self.wal.until_now(databases).await?;
        let each = |total: i64| if orders == 0 { f64::NAN } else { to_f64(total) / to_f64(orders) };
        let counts = Counts {
            syncs: each(syncs),
            row_writes: each(rows.total()),
            wal_records: each(records),
            wal_bytes: each(bytes),
            full_page_image_bytes: image_bytes.map(each),
        };
        Ok((counts, rows))
    }
}

/// The cost of one order.
#[derive(Clone, Debug, Serialize)]
pub struct Counts {
    /// Syncs of the write-ahead log, which all databases share.
    pub syncs: f64,
    /// Rows inserted, updated and deleted in the tables of all databases and in their TOAST tables.
    pub row_writes: f64,
    /// Records of the write-ahead log.
    pub wal_records: f64,
    /// Bytes of the write-ahead log, without full-page images if these are known.
    pub wal_bytes: f64,
    /// Bytes of full-page images: what is written again because a checkpoint came before. Unknown without `pg_walinspect`.
    pub full_page_image_bytes: Option<f64>,
}

impl Counts {
    /// A table of the counts beside their limits.
    #[must_use]
    pub fn render(&self, limits: &Limits) -> String {
        let mut table = Table::new(&["count", ">each order", ">limit"]);
        for (name, count, limit, decimals) in limits.beside(self) {
            table.row([name.to_owned(), format!("{count:.decimals$}"), limit.to_string()]);
        }
        let images = self.full_page_image_bytes.map(|bytes| format!("{bytes:.0}"));
        let images = images.unwrap_or_else(|| "unknown: included above".to_owned());
        table.row(["bytes of full-page images".to_owned(), images, String::new()]);
        table.render()
    }
}
