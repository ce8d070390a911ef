//! Syncs of the write-ahead log, which all databases share.

use anyhow::Result;
use flotilla_checker::Databases;

/// Syncs so far, as far as backends have published them.
///
/// # Errors
/// When the database doesn't answer.
pub async fn count(databases: &Databases) -> Result<i64> {
    let version = databases.number("orders", "SELECT current_setting('server_version_num')::bigint").await?;
    let sql = if version >= 180_000 {
        "SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io WHERE object = 'wal'"
    } else {
        "SELECT wal_sync FROM pg_stat_wal"
    };
    databases.number("orders", sql).await
}
