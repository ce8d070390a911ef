//! Appending: all events of a transaction in one statement, encoded once.

use std::ops::Range;
use std::sync::Arc;

use flotilla_postgres::Tx;
use uuid::Uuid;

use super::types::Xid;
use crate::error::Error;
use crate::event::Event;
use crate::frame;

const APPEND: &str = "WITH appended AS (
    INSERT INTO outbox (generation, id, subject, kind, event)
    SELECT (SELECT messaging_generation()), e.id, e.subject, e.kind, e.event
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[]) AS e(id, subject, kind, event))
SELECT pg_current_xact_id()";

const APPEND_AND_KEEP: &str = "WITH e AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::uuid[]) AS e(id, subject, kind, event, command)),
appended AS (
    INSERT INTO outbox (generation, id, subject, kind, event)
    SELECT (SELECT messaging_generation()), id, subject, kind, event FROM e),
kept AS (
    INSERT INTO inbox_reply (message_id, consumer, reply_id, subject, kind, event)
    SELECT command, $6, id, subject, kind, event FROM e WHERE command IS NOT NULL
    ON CONFLICT DO NOTHING)
SELECT pg_current_xact_id()";

/// Writes outbox rows in other people's transactions.
#[derive(Clone)]
pub(crate) struct OutboxWriter {
    source: Arc<str>,
    dead_letters: Arc<str>,
    max_event_bytes: usize,
}

/// Encoded events in one buffer.
pub(super) struct Encoded {
    buffer: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Encoded {
    pub(super) fn slices(&self) -> Vec<&[u8]> {
        self.ranges.iter().map(|range| &self.buffer[range.clone()]).collect()
    }
}

impl OutboxWriter {
    pub(super) fn new(service: &'static str, max_event_bytes: usize) -> Self {
        Self {
            source: crate::source_of(service).into(),
            dead_letters: crate::dead_letter_subject(service).into(),
            max_event_bytes,
        }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn dead_letters(&self) -> &str {
        &self.dead_letters
    }

    pub(super) fn max_event_bytes(&self) -> usize {
        self.max_event_bytes
    }

    /// Appends; returns the transaction's id, or nothing if there was nothing to append.
    pub(crate) async fn append(&self, tx: &Tx, events: &[Event]) -> Result<Option<u64>, Error> {
        if events.is_empty() {
            return Ok(None);
        }
        let encoded = self.encode(events)?;
        let Columns { ids, subjects, kinds } = Columns::of(events);
        let row = tx.query_one(APPEND, &[&ids, &subjects, &kinds, &encoded.slices()]).await?;
        Ok(Some(xid(&row)?))
    }

    /// Appends, and keeps some of the events as replies to the commands given beside them.
    pub(super) async fn append_and_keep(
        &self,
        tx: &Tx,
        consumer: &'static str,
        events: &[Event],
        replies: &[(Uuid, usize)],
    ) -> Result<Option<u64>, Error> {
        if replies.is_empty() {
            return self.append(tx, events).await;
        }
        let encoded = self.encode(events)?;
        let Columns { ids, subjects, kinds } = Columns::of(events);
        let mut commands: Vec<Option<Uuid>> = vec![None; events.len()];
        for (command, reply) in replies {
            commands[*reply] = Some(*command);
        }
        let row =
            tx.query_one(APPEND_AND_KEEP, &[&ids, &subjects, &kinds, &encoded.slices(), &commands, &consumer]).await?;
        Ok(Some(xid(&row)?))
    }

    fn encode(&self, events: &[Event]) -> Result<Encoded, Error> {
        let size = events.iter().map(|event| event.data.len() + 384).sum();
        let mut buffer = Vec::with_capacity(size);
        let mut ranges = Vec::with_capacity(events.len());
        for event in events {
            let start = buffer.len();
            frame::encode(event, &self.source, &[], &mut buffer);
            let bytes = buffer.len() - start;
            if bytes > self.max_event_bytes {
                return Err(Error::TooLarge {
                    id: event.id,
                    kind: event.kind.clone(),
                    bytes,
                    limit: self.max_event_bytes,
                });
            }
            ranges.push(start..buffer.len());
        }
        Ok(Encoded { buffer, ranges })
    }
}

struct Columns<'a> {
    ids: Vec<Uuid>,
    subjects: Vec<&'a str>,
    kinds: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(events: &'a [Event]) -> Self {
        Self {
            ids: events.iter().map(|event| event.id).collect(),
            subjects: events.iter().map(|event| event.subject.as_str()).collect(),
            kinds: events.iter().map(|event| event.kind.as_str()).collect(),
        }
    }
}

fn xid(row: &flotilla_postgres::Row) -> Result<u64, Error> {
    Ok(row.get::<Xid>(0)?.0)
}
