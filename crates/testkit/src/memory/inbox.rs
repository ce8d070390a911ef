//! The in-memory store as consumers and retries use it.

use std::sync::Arc;
use std::time::Duration;

use flotilla_messaging::store::{DueMessage, Effects, InboxStore, ParkedCounts, ParkedStore, Verdict};
use flotilla_messaging::{Error, Event, StoreError, dead_letter_subject, frame};
use tokio::time::Instant;
use uuid::Uuid;

use super::store::{MemoryStore, MemoryTx, ParkedRow, StoreFault, broken};

/// The wait before the second attempt at a parked message.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Maximum size of an encoded event, the services' default.
const MAX_EVENT_BYTES: usize = 1_000_000;

impl InboxStore for MemoryStore {
    type Tx = MemoryTx;

    async fn begin(&self) -> Result<MemoryTx, StoreError> {
        tokio::task::yield_now().await;
        let fault = self.shared.state.lock().fault(|fault| matches!(fault, StoreFault::Begin(_)));
        match fault {
            Some(StoreFault::Begin(kind)) => Err(broken(kind)),
            _ => Ok(self.transaction()),
        }
    }

    async fn claim(&self, tx: &mut MemoryTx, consumer: &'static str, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "ids are claimed sorted and distinct");
        if tx.claim.is_none() {
            tx.claim = Some(Arc::clone(&self.shared.claims).lock_owned().await);
        }
        tx.begin_writing();
        let state = self.shared.state.lock();
        let fresh: Vec<Uuid> = ids
            .iter()
            .copied()
            .filter(|id| !state.inbox.contains(&(consumer, *id)) && !tx.writes.inbox.contains(&(consumer, *id)))
            .collect();
        tx.writes.inbox.extend(fresh.iter().map(|id| (consumer, *id)));
        Ok(fresh)
    }

    async fn write(&self, tx: &mut MemoryTx, consumer: &'static str, effects: &Effects) -> Result<u64, Error> {
        tokio::task::yield_now().await;
        fit(&effects.events)?;
        tx.append(&effects.events);
        let mut buried = 0;
        for parked in &effects.parked {
            let id = parked.event.id;
            let known = self.shared.state.lock().parked.contains_key(&(consumer, id));
            if known || tx.writes.parked.iter().any(|(other, written, _)| *other == consumer && *written == id) {
                continue;
            }
            let row = ParkedRow {
                event: parked.event.clone(),
                reason: parked.reason.clone(),
                dead: parked.dead,
                attempts: 1,
                due: Instant::now() + FIRST_WAIT,
            };
            tx.begin_writing();
            tx.writes.parked.push((consumer, id, Some(row)));
            if parked.dead {
                tx.append(&[self.copy(&parked.event)]);
                buried += 1;
            }
        }
        Ok(buried)
    }

    async fn savepoint(&self, tx: &mut MemoryTx) -> Result<(), StoreError> {
        tx.savepoint = Some(tx.writes.clone());
        Ok(())
    }

    async fn check(&self, tx: &mut MemoryTx) -> Result<(), StoreError> {
        tx.savepoint = None;
        Ok(())
    }

    async fn undo(&self, tx: &mut MemoryTx) -> Result<(), StoreError> {
        if let Some(writes) = tx.savepoint.take() {
            tx.writes = writes;
        }
        Ok(())
    }

    async fn rollback(&self, tx: MemoryTx) -> Result<(), StoreError> {
        drop(tx);
        Ok(())
    }

    async fn commit(&self, tx: MemoryTx) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        MemoryTx::commit(tx)
    }
}

impl MemoryStore {
    fn copy(&self, event: &Event) -> Event {
        let mut copy = Event { subject: dead_letter_subject(self.shared.service), ..event.clone() };
        let attributes = [&copy.kind, &copy.source, &copy.aggregate, &copy.partition_key];
        let attributes: usize = attributes.map(String::len).iter().sum();
        copy.data.truncate(MAX_EVENT_BYTES.saturating_sub(attributes + 4_096));
        copy
    }
}

/// Refuses an event that is too large for a frame.
fn fit(events: &[Event]) -> Result<(), Error> {
    let mut encoded = Vec::new();
    for event in events {
        encoded.clear();
        frame::encode(event, "", &[], &mut encoded);
        if encoded.len() > MAX_EVENT_BYTES {
            let (id, kind, bytes) = (event.id, event.kind.clone(), encoded.len());
            return Err(Error::TooLarge { id, kind, bytes, limit: MAX_EVENT_BYTES });
        }
    }
    Ok(())
}

impl ParkedStore for MemoryStore {
    async fn due(&self, tx: &mut MemoryTx, consumers: &[&'static str]) -> Result<Option<DueMessage>, StoreError> {
        tokio::task::yield_now().await;
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        let due = state
            .parked
            .iter()
            .filter(|((consumer, _), row)| !row.dead && row.due <= now && consumers.contains(consumer))
            .filter(|(key, _)| !state.locked.contains(key))
            .min_by_key(|(_, row)| row.due);
        let Some((key, row)) = due.map(|(key, row)| (*key, row.clone())) else { return Ok(None) };
        state.locked.insert(key);
        tx.locked.push(key);
        Ok(Some(DueMessage { consumer: key.0, event: row.event, attempts: row.attempts }))
    }

    async fn settle(&self, tx: &mut MemoryTx, message: &DueMessage) -> Result<(), StoreError> {
        tx.begin_writing();
        tx.writes.parked.push((message.consumer, message.event.id, None));
        Ok(())
    }

    async fn fail(&self, tx: &mut MemoryTx, message: &DueMessage, reason: &str, verdict: Verdict) -> Result<(), Error> {
        let known = self.shared.state.lock().parked.get(&(message.consumer, message.event.id)).cloned();
        let Some(row) = known.filter(|row| row.attempts == message.attempts && !row.dead) else { return Ok(()) };
        let (dead, wait) = match verdict {
            Verdict::RetryAfter(wait) => (false, wait),
            Verdict::Bury => (true, Duration::ZERO),
        };
        let row = ParkedRow {
            reason: reason.to_owned(),
            dead,
            attempts: row.attempts + 1,
            due: Instant::now() + wait,
            ..row
        };
        tx.begin_writing();
        tx.writes.parked.push((message.consumer, message.event.id, Some(row)));
        if dead {
            tx.append(&[self.copy(&message.event)]);
        }
        Ok(())
    }

    async fn counts(&self) -> Result<ParkedCounts, StoreError> {
        let state = self.shared.state.lock();
        let dead = state.parked.values().filter(|row| row.dead).count() as i64;
        Ok(ParkedCounts { retrying: state.parked.len() as i64 - dead, dead })
    }
}
