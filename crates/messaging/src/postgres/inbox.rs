//! The consumers' statements: claims, effects, savepoints.

use std::borrow::Cow;
use std::collections::HashSet;

use flotilla_postgres::{Error as PgError, Tx};
use uuid::Uuid;

use super::PgStore;
use crate::error::Error;
use crate::frame;
use crate::store::{Effects, InboxStore, Parked};

// Rows are inserted in the order of the array, which is sorted, so that two replicas with the same ids wait for each
// other in one direction only. Usually all are new, and then no ids are returned.
const CLAIM: &str = "WITH fresh AS (
    INSERT INTO inbox (message_id, consumer)
    SELECT id, $1 FROM unnest($2::uuid[]) AS u(id)
    ON CONFLICT DO NOTHING RETURNING message_id)
SELECT CASE WHEN count(*) < cardinality($2::uuid[]) THEN coalesce(array_agg(message_id), '{}') END FROM fresh";

const PARK: &str = "INSERT INTO parked (consumer, message_id, subject, kind, event, reason, state, next_attempt_at)
SELECT $1, id, subject, kind, event, reason, state, clock_timestamp() + make_interval(secs => $8)
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[]) AS p(id, subject, kind, event, reason, state)
ON CONFLICT DO NOTHING RETURNING message_id";

impl InboxStore for PgStore {
    type Tx = Tx;

    async fn begin(&self) -> Result<Tx, PgError> {
        self.pool.begin().await
    }

    async fn claim(&self, tx: &mut Tx, consumer: &'static str, ids: &[Uuid]) -> Result<Vec<Uuid>, PgError> {
        let row = tx.query_one(CLAIM, &[&consumer, &ids]).await?;
        let fresh: Option<Vec<Uuid>> = row.get(0)?;
        Ok(fresh.unwrap_or_else(|| ids.to_vec()))
    }

    async fn write(&self, tx: &mut Tx, consumer: &'static str, effects: &Effects) -> Result<u64, Error> {
        self.writer.append(tx, &effects.events).await?;
        if effects.parked.is_empty() {
            return Ok(0);
        }
        // The same bytes may occur twice in one batch: each new dead letter is counted once.
        let mut fresh: HashSet<Uuid> = self.park(tx, consumer, &effects.parked).await?.into_iter().collect();
        let copies: Vec<_> = effects
            .parked
            .iter()
            .filter(|parked| parked.dead && fresh.remove(&parked.event.id))
            .map(|parked| self.dead_letter(&parked.event))
            .collect();
        self.writer.append(tx, &copies).await?;
        Ok(copies.len() as u64)
    }

    async fn savepoint(&self, tx: &mut Tx) -> Result<(), PgError> {
        tx.mark();
        tx.batch_execute("SAVEPOINT events").await
    }

    async fn check(&self, tx: &mut Tx) -> Result<(), PgError> {
        tx.batch_execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; RELEASE SAVEPOINT events").await
    }

    async fn undo(&self, tx: &mut Tx) -> Result<(), PgError> {
        tx.forget_to_mark();
        tx.batch_execute("ROLLBACK TO SAVEPOINT events; RELEASE SAVEPOINT events").await
    }

    async fn rollback(&self, tx: Tx) -> Result<(), PgError> {
        tx.rollback().await
    }

    async fn commit(&self, tx: Tx) -> Result<(), PgError> {
        tx.commit().await
    }
}

impl PgStore {
    /// Parks messages; returns those that were not parked before.
    async fn park(&self, tx: &Tx, consumer: &'static str, parked: &[Parked]) -> Result<Vec<Uuid>, Error> {
        let mut ids = Vec::new();
        let mut subjects = Vec::new();
        let mut kinds = Vec::new();
        let mut events = Vec::new();
        let mut reasons = Vec::new();
        let mut states = Vec::new();
        for Parked { event, reason, dead } in parked {
            let mut encoded = Vec::new();
            frame::encode(event, self.writer.source(), &[], &mut encoded);
            ids.push(event.id);
            subjects.push(storable(&event.subject));
            kinds.push(storable(&event.kind));
            events.push(encoded);
            reasons.push(storable(reason));
            states.push(if *dead { "dead" } else { "retrying" });
        }
        let wait = self.parked_backoff.as_secs_f64();
        let rows = tx.query(PARK, &[&consumer, &ids, &subjects, &kinds, &events, &reasons, &states, &wait]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?)
    }

    /// The copy of a dead letter for the stream, truncated if it would be too large; the table has it in full.
    pub(super) fn dead_letter(&self, event: &crate::Event) -> crate::Event {
        let mut copy = event.clone();
        copy.subject = self.writer.dead_letters().to_owned();
        copy.kind = storable(&event.kind).into_owned();
        let attributes = [&copy.kind, &copy.source, &copy.aggregate, &copy.partition_key];
        let attributes: usize = attributes.map(String::len).iter().sum();
        let room = self.writer.max_event_bytes().saturating_sub(attributes + 4_096);
        copy.data.truncate(room);
        copy
    }
}

/// PostgreSQL's text can't contain NUL, and parking a message must not fail because of its content.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    const LIMIT: usize = 2_000;
    let end = text.char_indices().nth(LIMIT).map_or(text.len(), |(at, _)| at);
    if text[..end].contains('\0') {
        Cow::Owned(text[..end].replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(&text[..end])
    }
}
