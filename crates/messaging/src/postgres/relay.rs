//! The relay's statements: lease, read, cursor, checkpoints.

use std::time::Duration;

use flotilla_postgres::{Error, Row};
use uuid::Uuid;

use super::types::Xid;
use super::{PgStore, stream_record};
use crate::store::{Backlog, Checkpoint, Cursor, Grant, OutboxRow, OutboxStore, Rewind, StreamMark, StreamRecord};

// Committed synchronously on purpose: a grant lost in a crash of the database would be repeated under the same epoch.
const ACQUIRE: &str = "UPDATE relay_cursor
SET epoch = epoch + 1, holder = $1, lease_until = clock_timestamp() + make_interval(secs => $2)
WHERE lease_until < clock_timestamp() OR holder = $1
RETURNING epoch, generation, xid, id, stream_created, stream_sequence";

const RENEW: &str = "WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE relay_cursor SET lease_until = clock_timestamp() + make_interval(secs => $2) FROM quick WHERE epoch = $1
RETURNING epoch";

const RELEASE: &str = "UPDATE relay_cursor SET lease_until = '-infinity', holder = '' WHERE epoch = $1";

const REGISTER_GENERATION: &str = "INSERT INTO outbox_generation (generation)
SELECT messaging_generation() WHERE NOT EXISTS (SELECT FROM outbox_generation WHERE generation = messaging_generation())
ON CONFLICT DO NOTHING";

// The current generation is last, even if an earlier database already recorded it.
const GENERATIONS: &str =
    "SELECT generation FROM outbox_generation ORDER BY generation = messaging_generation(), ordinal";

const READ: &str = "SELECT xid, id, subject, events, payload FROM outbox_frames($1, $2, $3, $4, $5, $6)";

const ADVANCE: &str = "WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
moved AS (
    UPDATE relay_cursor
    SET generation = $2, xid = $3, id = $4, stream_created = $5, stream_sequence = $6,
        lease_until = clock_timestamp() + make_interval(secs => $7)
    FROM quick WHERE epoch = $1 RETURNING 1),
kept AS (
    INSERT INTO relay_checkpoint (stream_created, sequence, generation, xid, id)
    SELECT $5, $6, $2, $3, $4 FROM moved WHERE $8
    ON CONFLICT (stream_created, sequence) DO UPDATE SET generation = excluded.generation, xid = excluded.xid, id = excluded.id)
SELECT count(*) FROM moved";

const CHECKPOINT: &str = "SELECT sequence, generation, xid, id FROM (
    SELECT sequence, generation, xid, id FROM relay_checkpoint WHERE stream_created = $1 AND sequence <= $2
    UNION ALL
    SELECT stream_sequence, generation, xid, id FROM relay_cursor
    WHERE stream_created = $1 AND stream_sequence <= $2 AND generation IS NOT NULL) AS known
ORDER BY sequence DESC LIMIT 1";

const OLDEST_CHECKPOINT: &str = "SELECT min(sequence) FROM relay_checkpoint WHERE stream_created = $1";

const BACKLOG: &str = "SELECT pending, age FROM outbox_backlog(10000)";

/// A frame in the driver's buffer; nothing is copied before the message is packed.
pub struct PgOutboxRow(Row, (u64, Uuid));

impl PgOutboxRow {
    /// Reads every column once, so that later reads of them can't fail.
    fn of(row: Row) -> Result<Self, Error> {
        let position = (row.get::<Xid>(0)?.0, row.get(1)?);
        let _: (&str, i32, &[u8]) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok(Self(row, position))
    }
}

impl OutboxRow for PgOutboxRow {
    fn position(&self) -> (u64, Uuid) {
        self.1
    }

    fn subject(&self) -> &str {
        self.0.get(2).unwrap_or_default()
    }

    fn events(&self) -> usize {
        usize::try_from(self.0.get::<i32>(3).unwrap_or_default()).unwrap_or_default()
    }

    fn payload(&self) -> &[u8] {
        self.0.get(4).unwrap_or_default()
    }
}

impl OutboxStore for PgStore {
    type Row = PgOutboxRow;

    async fn acquire(&self, holder: &str, lease: Duration) -> Result<Option<Grant>, Error> {
        let rows = self.pool.query(ACQUIRE, &[&holder, &lease.as_secs_f64()]).await?;
        rows.first().map(grant).transpose()
    }

    async fn renew(&self, epoch: i64, lease: Duration) -> Result<bool, Error> {
        Ok(!self.pool.query(RENEW, &[&epoch, &lease.as_secs_f64()]).await?.is_empty())
    }

    async fn release(&self, epoch: i64) -> Result<(), Error> {
        self.pool.query(RELEASE, &[&epoch]).await.map(drop)
    }

    async fn generations(&self) -> Result<Vec<i64>, Error> {
        self.pool.query(REGISTER_GENERATION, &[]).await?;
        self.pool.query(GENERATIONS, &[]).await?.iter().map(|row| row.get(0)).collect()
    }

    async fn read(
        &self,
        after: Cursor,
        settled_only: bool,
        max_frames: usize,
        max_bytes: usize,
    ) -> Result<Vec<PgOutboxRow>, Error> {
        let frames = i32::try_from(max_frames).unwrap_or(i32::MAX);
        let bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        let rows = self
            .pool
            .query(READ, &[&after.generation, &Xid(after.xid), &after.id, &settled_only, &frames, &bytes])
            .await?;
        rows.into_iter().map(PgOutboxRow::of).collect()
    }

    async fn advance(
        &self,
        epoch: i64,
        cursor: Cursor,
        stream: StreamMark,
        checkpoint: bool,
        lease: Duration,
    ) -> Result<bool, Error> {
        let rows = self
            .pool
            .query(
                ADVANCE,
                &[
                    &epoch,
                    &cursor.generation,
                    &Xid(cursor.xid),
                    &cursor.id,
                    &stream.created,
                    &sequence(stream),
                    &lease.as_secs_f64(),
                    &checkpoint,
                ],
            )
            .await?;
        changed(&rows)
    }

    async fn checkpoint(&self, stream: StreamMark) -> Result<Option<Checkpoint>, Error> {
        let rows = self.pool.query(CHECKPOINT, &[&stream.created, &sequence(stream)]).await?;
        rows.first()
            .map(|row| {
                let sequence = u64::try_from(row.get::<i64>(0)?).unwrap_or_default();
                let (generation, xid, id) = (row.get(1)?, row.get::<Xid>(2)?.0, row.get(3)?);
                Ok(Checkpoint { sequence, cursor: Cursor { generation, xid, id } })
            })
            .transpose()
    }

    async fn oldest_checkpoint(&self, created: i64) -> Result<Option<u64>, Error> {
        let rows = self.pool.query(OLDEST_CHECKPOINT, &[&created]).await?;
        let oldest = rows.first().map_or(Ok(None), |row| row.get::<Option<i64>>(0))?;
        Ok(oldest.map(|sequence| u64::try_from(sequence).unwrap_or_default()))
    }

    async fn rewind(&self, epoch: i64, rewind: Rewind<'_>) -> Result<bool, Error> {
        stream_record::rewind(&self.pool, epoch, rewind).await
    }

    async fn stream_record(&self) -> Result<Option<StreamRecord>, Error> {
        stream_record::load(&self.pool).await
    }

    async fn keep_record(&self, epoch: i64, record: &StreamRecord) -> Result<bool, Error> {
        stream_record::keep(&self.pool, epoch, record).await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        let rows = self.pool.query(BACKLOG, &[]).await?;
        let Some(row) = rows.first() else { return Ok(Backlog::default()) };
        let pending: i64 = row.get(0)?;
        let age: f64 = row.get(1)?;
        Ok(Backlog {
            pending: u64::try_from(pending).unwrap_or_default(),
            age: Duration::try_from_secs_f64(age.max(0.0)).unwrap_or_default(),
        })
    }
}

fn grant(row: &Row) -> Result<Grant, Error> {
    let generation: Option<i64> = row.get(1)?;
    let xid: Option<Xid> = row.get(2)?;
    let id: Option<Uuid> = row.get(3)?;
    let created: Option<i64> = row.get(4)?;
    let last: Option<i64> = row.get(5)?;
    Ok(Grant {
        epoch: row.get(0)?,
        cursor: match (generation, xid, id) {
            (Some(generation), Some(xid), Some(id)) => Some(Cursor { generation, xid: xid.0, id }),
            _ => None,
        },
        stream: match (created, last) {
            (Some(created), Some(last)) => {
                Some(StreamMark { created, sequence: u64::try_from(last).unwrap_or_default() })
            }
            _ => None,
        },
    })
}

pub(super) fn sequence(stream: StreamMark) -> i64 {
    i64::try_from(stream.sequence).unwrap_or(i64::MAX)
}

pub(super) fn changed(rows: &[Row]) -> Result<bool, Error> {
    match rows.first() {
        Some(row) => Ok(row.get::<i64>(0)? > 0),
        None => Ok(false),
    }
}
