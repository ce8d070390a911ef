//! How much write-ahead log is written between two moments.
//!
//! `pg_walinspect` reads the log itself, so its counts are exact and it tells full-page images from the rest. How many of
//! those there are depends on the time since the last checkpoint, so a limit on bytes means something only without them.

use anyhow::{Context as _, Result};
use flotilla_checker::Databases;

/// All databases share the log: it is read through one of them.
const DATABASE: &str = "orders";

/// What was written.
pub struct WalUse {
    /// Records.
    pub records: i64,
    /// Bytes: without full-page images if these are known, otherwise with them.
    pub bytes: i64,
    /// Bytes of full-page images; unknown without `pg_walinspect`.
    pub image_bytes: Option<i64>,
}

/// A place in the log.
pub struct WalStart {
    lsn: String,
    records: i64,
    bytes: i64,
    is_kept: bool,
}

impl WalStart {
    /// The end of the log. Where `pg_walinspect` is available, the log from here on is kept until it is read.
    ///
    /// # Errors
    /// When the database doesn't answer.
    pub async fn mark(databases: &Databases) -> Result<Self> {
        let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_walinspect'";
        let is_kept = databases.number(DATABASE, available).await? > 0 && keep(databases).await;
        let (records, bytes) = totals(databases).await?;
        Ok(Self { lsn: flushed(databases).await?, records, bytes, is_kept })
    }

    /// What was written since.
    ///
    /// # Errors
    /// When the database doesn't answer.
    pub async fn until_now(self, databases: &Databases) -> Result<WalUse> {
        if self.is_kept {
            let found = inspect(databases, &self.lsn).await;
            let client = databases.of(DATABASE)?;
            client
                .batch_execute("ROLLBACK; SELECT pg_drop_replication_slot('flotilla_load_' || pg_backend_pid())")
                .await?;
            return found;
        }
        let (records, bytes) = totals(databases).await?;
        Ok(WalUse { records: records - self.records, bytes: bytes - self.bytes, image_bytes: None })
    }
}

/// Keeps the log by a replication slot that ends with the connection; false if the server has none left.
async fn keep(databases: &Databases) -> bool {
    let sql =
        "SELECT pg_create_physical_replication_slot('flotilla_load_' || pg_backend_pid(), true, true) IS NOT NULL";
    databases.rows(DATABASE, sql).await.is_ok()
}

async fn flushed(databases: &Databases) -> Result<String> {
    let row = databases.of(DATABASE)?.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await?;
    Ok(row.try_get(0)?)
}

/// Records and bytes so far, as far as backends have published them.
async fn totals(databases: &Databases) -> Result<(i64, i64)> {
    let row = databases.of(DATABASE)?.query_one("SELECT wal_records, wal_bytes::bigint FROM pg_stat_wal", &[]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Reads the log, with the extension installed only in a transaction, which the caller rolls back.
async fn inspect(databases: &Databases, from: &str) -> Result<WalUse> {
    let until = flushed(databases).await?;
    let client = databases.of(DATABASE)?;
    client.batch_execute("BEGIN; CREATE EXTENSION IF NOT EXISTS pg_walinspect").await?;
    let sql = "SELECT coalesce(sum(count), 0)::bigint, coalesce(sum(record_size), 0)::bigint, coalesce(sum(fpi_size), 0)::bigint
               FROM pg_get_wal_stats($1::text::pg_lsn, $2::text::pg_lsn)";
    let row = client.query_one(sql, &[&from, &until]).await.context("can't read the write-ahead log")?;
    Ok(WalUse { records: row.try_get(0)?, bytes: row.try_get(1)?, image_bytes: Some(row.try_get(2)?) })
}
