//! Counts the syncs of the write-ahead log, which all databases share.

use std::time::Duration;

use anyhow::Result;
use flotilla_checker::Databases;
use tokio::time::Instant;

/// Backends report their counts at most once a second, idle ones later.
const STILL: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(12);
const PAUSE: Duration = Duration::from_millis(250);

/// Syncs so far, as far as backends have reported them.
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

/// Syncs so far, once the count hasn't changed for a while.
///
/// # Errors
/// When the database doesn't answer.
pub async fn count_settled(databases: &Databases) -> Result<i64> {
    let until = Instant::now() + PATIENCE;
    let mut last = count(databases).await?;
    let mut since = Instant::now();
    while since.elapsed() < STILL && Instant::now() < until {
        tokio::time::sleep(PAUSE).await;
        let now = count(databases).await?;
        if now != last {
            last = now;
            since = Instant::now();
        }
    }
    Ok(last)
}
