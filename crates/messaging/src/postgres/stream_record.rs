//! The stored record of the stream: which messages are gone, how far the consumers have acked, and which losses can't
//! be republished.

use std::time::Duration;

use flotilla_postgres::{Error, ErrorKind, Pool, Row};
use tokio::time::Instant;

use super::relay::{changed, sequence};
use super::types::Xid;
use crate::ranges::{NoRanges, Ranges};
use crate::store::{ConsumerLoss, KnownConsumer, Rewind, StreamRecord};

const LOAD_STREAM: &str = "SELECT stream_created, gone::text, covered::text, unlisted FROM relay_stream";

const LOAD_CONSUMERS: &str = "SELECT consumer, consumer_created, floor,
    greatest(extract(epoch FROM clock_timestamp() - seen_at), 0)::double precision FROM relay_consumer";

// Consumers that aren't in the record are deleted.
const KEEP: &str = "WITH durability AS MATERIALIZED (
    SELECT set_config('synchronous_commit', CASE WHEN $10 THEN current_setting('synchronous_commit') ELSE 'off' END, true)),
held AS MATERIALIZED (SELECT c.epoch FROM relay_cursor c, durability WHERE c.epoch = $1 FOR SHARE OF c),
stream AS (
    INSERT INTO relay_stream (stream_created, gone, covered, unlisted)
    SELECT $2::bigint, $3::text::int8multirange, $4::text::int8multirange, $5::bigint FROM held
    ON CONFLICT (only_row) DO UPDATE SET stream_created = excluded.stream_created, gone = excluded.gone,
        covered = excluded.covered, unlisted = excluded.unlisted),
forgotten AS (DELETE FROM relay_consumer WHERE EXISTS (SELECT FROM held) AND consumer <> ALL ($6::text[])),
consumers AS (
    INSERT INTO relay_consumer (consumer, consumer_created, floor, seen_at)
    SELECT name, created, floor, clock_timestamp() - make_interval(secs => age)
    FROM held, unnest($6::text[], $7::bigint[], $8::bigint[], $9::double precision[]) AS seen (name, created, floor, age)
    ON CONFLICT (consumer) DO UPDATE SET consumer_created = excluded.consumer_created, floor = excluded.floor,
        seen_at = excluded.seen_at)
SELECT count(*) FROM held";

// Sequences above the checkpoint belong to messages that will be republished, or will be assigned to other messages, so
// the checkpoints there are no longer valid. The new checkpoint at the stream's end marks where republished messages
// begin.
const REWIND: &str = "WITH moved AS (
    UPDATE relay_cursor SET generation = $2, xid = $3, id = $4, stream_created = $5, stream_sequence = $6
    WHERE epoch = $1 RETURNING 1),
forgotten AS (
    DELETE FROM relay_checkpoint WHERE EXISTS (SELECT FROM moved)
    AND (stream_created <> $5 OR (sequence > $7 AND sequence <> $6))),
kept AS (
    INSERT INTO relay_checkpoint (stream_created, sequence, generation, xid, id) SELECT $5, $6, $2, $3, $4 FROM moved
    ON CONFLICT (stream_created, sequence) DO UPDATE SET generation = excluded.generation, xid = excluded.xid, id = excluded.id)
SELECT count(*) FROM moved";

const LOSE: &str =
    "INSERT INTO relay_loss (consumer, stream_created, first_sequence, last_sequence) VALUES ($1, $2, $3, $4)
ON CONFLICT (consumer, stream_created) DO UPDATE SET
    first_sequence = least(relay_loss.first_sequence, excluded.first_sequence),
    last_sequence = greatest(relay_loss.last_sequence, excluded.last_sequence), noticed_at = now()";

// Includes zero for each consumer without a loss, so that the first loss shows as an increase.
const LOSSES: &str = "SELECT consumer, sum(frames)::bigint FROM (
    SELECT consumer, last_sequence - first_sequence + 1 AS frames FROM relay_loss
    UNION ALL SELECT consumer, 0 FROM relay_consumer) AS known
GROUP BY consumer";

pub(super) async fn load(pool: &Pool) -> Result<Option<StreamRecord>, Error> {
    let rows = pool.query(LOAD_STREAM, &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let read = |column: usize| -> Result<Ranges, Error> {
        let text: String = row.get(column)?;
        text.parse().map_err(|error: NoRanges| Error::new(ErrorKind::Other, format!("relay_stream: {error}")))
    };
    let unlisted: i64 = row.get(3)?;
    let mut record = StreamRecord {
        created: row.get(0)?,
        gone: read(1)?,
        covered: read(2)?,
        unlisted: u64::try_from(unlisted).unwrap_or_default(),
        ..StreamRecord::default()
    };
    for row in pool.query(LOAD_CONSUMERS, &[]).await? {
        record.consumers.insert(row.get(0)?, known(&row)?);
    }
    Ok(Some(record))
}

fn known(row: &Row) -> Result<KnownConsumer, Error> {
    let floor: i64 = row.get(2)?;
    let age = Duration::try_from_secs_f64(row.get(3)?).unwrap_or_default();
    // `Instant` can't represent times before the machine's start: such a consumer counts as seen just now.
    let seen = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
    Ok(KnownConsumer { created: row.get(1)?, floor: u64::try_from(floor).unwrap_or_default(), seen })
}

pub(super) async fn keep(pool: &Pool, epoch: i64, record: &StreamRecord) -> Result<bool, Error> {
    let columns = Columns::of(record);
    let rows = pool.query(KEEP, &columns.parameters(&epoch, &false)).await?;
    changed(&rows)
}

pub(super) async fn rewind(pool: &Pool, epoch: i64, rewind: Rewind<'_>) -> Result<bool, Error> {
    let Rewind { to, stream, record, losses, lost_from } = rewind;
    let tx = pool.begin().await?;
    let below = i64::try_from(to.sequence).unwrap_or(i64::MAX);
    let cursor = to.cursor;
    let rows = tx
        .query(
            REWIND,
            &[&epoch, &cursor.generation, &Xid(cursor.xid), &cursor.id, &stream.created, &sequence(stream), &below],
        )
        .await?;
    if !changed(&rows)? {
        tx.rollback().await?;
        return Ok(false);
    }
    let columns = Columns::of(record);
    tx.query(KEEP, &columns.parameters(&epoch, &true)).await?;
    for ConsumerLoss { consumer, first, last } in losses {
        let (first, last) = (whole(*first), whole(*last));
        tx.query(LOSE, &[consumer, &lost_from, &first, &last]).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// The number of messages that each known consumer has lost permanently.
pub(super) async fn losses(pool: &Pool) -> Result<Vec<(String, i64)>, Error> {
    pool.query(LOSSES, &[]).await?.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A record as the statement's parameters.
struct Columns<'a> {
    created: i64,
    gone: String,
    covered: String,
    unlisted: i64,
    names: Vec<&'a str>,
    instances: Vec<i64>,
    floors: Vec<i64>,
    ages: Vec<f64>,
}

impl<'a> Columns<'a> {
    fn of(record: &'a StreamRecord) -> Self {
        Self {
            created: record.created,
            gone: record.gone.to_string(),
            covered: record.covered.to_string(),
            unlisted: whole(record.unlisted),
            names: record.consumers.keys().map(String::as_str).collect(),
            instances: record.consumers.values().map(|known| known.created).collect(),
            floors: record.consumers.values().map(|known| whole(known.floor)).collect(),
            ages: record.consumers.values().map(|known| known.seen.elapsed().as_secs_f64()).collect(),
        }
    }

    fn parameters<'p>(
        &'p self,
        epoch: &'p i64,
        durable: &'p bool,
    ) -> [&'p (dyn tokio_postgres::types::ToSql + Sync); 10] {
        [
            epoch,
            &self.created,
            &self.gone,
            &self.covered,
            &self.unlisted,
            &self.names,
            &self.instances,
            &self.floors,
            &self.ages,
            durable,
        ]
    }
}
