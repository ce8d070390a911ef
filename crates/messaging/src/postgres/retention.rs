//! Creates partitions ahead of time and drops old ones, through functions of the owner: the service's own role may not
//! change tables.

use std::time::Duration;

use flotilla_postgres::{Error, Pool};

// One statement each, so that a lock that can't be acquired fails only that statement.
const MAKE: &str = "SELECT messaging_make_partitions(make_interval(secs => $1))";
const DROP: &str = "SELECT messaging_drop_partitions($1, make_interval(secs => $2), make_interval(secs => $3))";

// Keeps all checkpoints of the last ten minutes, the last one of each minute before that, and the newest one past the
// outbox's retention; outbox rows below it are dropped. The lowest checkpoint marks what the outbox still has.
const THIN: &str = "WITH kept AS (
    SELECT stream_created, max(sequence) AS sequence FROM relay_checkpoint
    WHERE recorded_at < now() - make_interval(secs => $1) GROUP BY stream_created)
DELETE FROM relay_checkpoint c WHERE EXISTS (SELECT FROM kept k WHERE k.stream_created = c.stream_created AND c.sequence < k.sequence)
OR (recorded_at < now() - interval '10 minutes' AND (stream_created, sequence) NOT IN (
    SELECT stream_created, max(sequence) FROM relay_checkpoint GROUP BY stream_created, date_trunc('minute', recorded_at)
    UNION ALL SELECT stream_created, min(sequence) FROM relay_checkpoint GROUP BY stream_created))";

/// Bounds the size of the tables.
#[derive(Clone)]
pub struct Retention {
    pool: Pool,
    outbox: Duration,
    inbox: Duration,
}

impl Retention {
    /// Published outbox rows may be dropped after `outbox`, inbox rows after `inbox`.
    pub fn new(pool: Pool, outbox: Duration, inbox: Duration) -> Self {
        Self { pool, outbox, inbox }
    }

    /// Creates the partitions that will be needed, and those for messages in transit.
    ///
    /// # Errors
    /// The database's error.
    pub async fn make(&self) -> Result<i32, Error> {
        let rows = self.pool.query(MAKE, &[&self.inbox.as_secs_f64()]).await?;
        rows.first().map_or(Ok(0), |row| row.get(0))
    }

    /// Drops partitions past their retention if the epoch is still current; returns the dropped partitions. The inbox
    /// is kept a day longer than its horizon, to allow for clock differences.
    ///
    /// # Errors
    /// The database's error.
    pub async fn drop_old(&self, epoch: i64) -> Result<Vec<String>, Error> {
        let inbox = self.inbox + Duration::from_secs(3_600);
        let rows = self.pool.query(DROP, &[&epoch, &self.outbox.as_secs_f64(), &inbox.as_secs_f64()]).await?;
        let dropped = rows.first().map_or(Ok(Vec::new()), |row| row.get(0))?;
        self.pool.query(THIN, &[&self.outbox.as_secs_f64()]).await?;
        Ok(dropped)
    }
}
