//! Appends all events of a transaction as frames, in one statement; the commit wakes the relay.

use std::sync::Arc;

use flotilla_clock::Ids;
use flotilla_postgres::Tx;
use uuid::Uuid;

use super::types::Xid;
use crate::error::Error;
use crate::event::Event;
use crate::frame::FrameBuilder;
use crate::outbox::Waker;

const APPEND: &str = "WITH appended AS (
    INSERT INTO outbox (generation, id, subject, events, event)
    SELECT (SELECT messaging_generation()), f.id, f.subject, f.events, f.payload
    FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bytea[]) AS f(id, subject, events, payload))
SELECT pg_current_xact_id()";

/// Writes outbox rows in the callers' transactions.
#[derive(Clone)]
pub(crate) struct OutboxWriter {
    source: Arc<str>,
    dead_letters: Arc<str>,
    max_event_bytes: usize,
    ids: Ids,
    waker: Waker,
}

impl OutboxWriter {
    pub(super) fn new(service: &'static str, max_event_bytes: usize, ids: Ids) -> Self {
        Self {
            source: crate::source_of(service).into(),
            dead_letters: crate::dead_letter_subject(service).into(),
            max_event_bytes,
            ids,
            waker: Waker::default(),
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

    /// The waker of the service's relay.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Appends the events, if there are any.
    pub(crate) async fn append(&self, tx: &Tx, events: &[Event]) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let mut builder = FrameBuilder::new(&self.source, &self.ids, self.max_event_bytes);
        for event in events {
            builder.add(event)?;
        }
        let frames = builder.finish();
        let ids: Vec<Uuid> = frames.iter().map(|frame| frame.id).collect();
        let subjects: Vec<&str> = frames.iter().map(|frame| frame.subject.as_str()).collect();
        let counts: Vec<i32> = frames.iter().map(|frame| i32::try_from(frame.events).unwrap_or(i32::MAX)).collect();
        let payloads: Vec<&[u8]> = frames.iter().map(|frame| frame.payload.as_ref()).collect();
        let row = tx.query_one(APPEND, &[&ids, &subjects, &counts, &payloads]).await?;
        let (Xid(xid), waker) = (row.get(0)?, self.waker.clone());
        tx.after_commit(move || waker.wake(xid));
        Ok(())
    }
}
