//! The statements for retries of parked messages.

use bytes::Bytes;
use flotilla_postgres::{Error as PgError, ErrorKind, Tx};

use super::PgStore;
use crate::error::Error;
use crate::frame;
use crate::store::{DueMessage, ParkedCounts, ParkedStore, Verdict};

const DUE: &str = "SELECT consumer, subject, event, attempts FROM parked
WHERE state = 'retrying' AND next_attempt_at <= clock_timestamp() AND consumer = ANY ($1)
ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED";

const SETTLE: &str = "DELETE FROM parked WHERE consumer = $1 AND message_id = $2";

const FAIL: &str = "UPDATE parked
SET attempts = attempts + 1, reason = $4, next_attempt_at = clock_timestamp() + make_interval(secs => $5),
    state = CASE WHEN $6 THEN 'dead' ELSE 'retrying' END
WHERE consumer = $1 AND message_id = $2 AND attempts = $3 AND state = 'retrying'";

const COUNTS: &str =
    "SELECT count(*) FILTER (WHERE state = 'retrying'), count(*) FILTER (WHERE state = 'dead') FROM parked";

impl ParkedStore for PgStore {
    async fn due(&self, tx: &mut Tx, consumers: &[&'static str]) -> Result<Option<DueMessage>, PgError> {
        let Some(row) = tx.query_opt(DUE, &[&consumers]).await? else { return Ok(None) };
        let name: &str = row.get(0)?;
        let subject: &str = row.get(1)?;
        let event = frame::decode(subject, &Bytes::copy_from_slice(row.get(2)?))
            .ok()
            .and_then(|events| events.into_iter().next())
            .and_then(Result::ok);
        let (Some(consumer), Some(event)) = (consumers.iter().find(|consumer| **consumer == name), event) else {
            return Err(PgError::new(ErrorKind::Other, format!("a parked message of {name} is not an event")));
        };
        Ok(Some(DueMessage { consumer, event, attempts: row.get(3)? }))
    }

    async fn settle(&self, tx: &mut Tx, message: &DueMessage) -> Result<(), PgError> {
        tx.execute(SETTLE, &[&message.consumer, &message.event.id]).await.map(drop)
    }

    async fn fail(&self, tx: &mut Tx, message: &DueMessage, reason: &str, verdict: Verdict) -> Result<(), Error> {
        let (wait, bury) = match verdict {
            Verdict::RetryAfter(wait) => (wait.as_secs_f64(), false),
            Verdict::Bury => (0.0, true),
        };
        let changed = tx
            .execute(
                FAIL,
                &[
                    &message.consumer,
                    &message.event.id,
                    &message.attempts,
                    &super::inbox::storable(reason),
                    &wait,
                    &bury,
                ],
            )
            .await?;
        if bury && changed > 0 {
            let copy = self.dead_letter(&message.event);
            self.writer.append(tx, &[copy]).await?;
        }
        Ok(())
    }

    async fn counts(&self) -> Result<ParkedCounts, PgError> {
        let rows = self.pool.query(COUNTS, &[]).await?;
        let Some(row) = rows.first() else { return Ok(ParkedCounts::default()) };
        Ok(ParkedCounts { retrying: row.get(0)?, dead: row.get(1)? })
    }
}
