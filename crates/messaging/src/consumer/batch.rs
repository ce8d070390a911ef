//! What was pulled, before any transaction: events in message order, and what can't be one.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::event::Event;
use crate::frame::{self, Undecodable};
use crate::store::Parked;
use flotilla_clock::time_of;

/// The type under which bytes that aren't an event are parked.
pub const UNDECODABLE: &str = "flotilla.messaging.Undecodable";

/// One part of a frame.
pub(super) enum Item {
    Event(Event),
    Undecodable(Parked),
}

/// Takes a frame apart; a payload that isn't a batch is one undecodable item.
pub(super) fn decode(subject: &str, payload: &Bytes) -> Vec<Item> {
    match frame::decode(subject, payload) {
        Ok(parts) => parts
            .into_iter()
            .map(|part| part.map_or_else(|broken| Item::Undecodable(park(subject, broken)), Item::Event))
            .collect(),
        Err(broken) => vec![Item::Undecodable(park(subject, broken))],
    }
}

fn park(subject: &str, broken: Undecodable) -> Parked {
    let id = id_of_bytes(&broken.bytes);
    let event = Event {
        id,
        kind: UNDECODABLE.to_owned(),
        source: String::new(),
        subject: subject.to_owned(),
        aggregate: String::new(),
        aggregate_version: 0,
        causation_id: None,
        partition_key: String::new(),
        traceparent: None,
        time: SystemTime::UNIX_EPOCH,
        deadline: None,
        data: broken.bytes,
    };
    Parked { event, reason: format!("undecodable: {}", broken.reason), dead: true }
}

/// The same bytes are the same message: a UUID version 8 of their hash.
fn id_of_bytes(bytes: &[u8]) -> Uuid {
    let hash = Sha256::digest(bytes);
    let mut id = [0_u8; 16];
    id.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

/// Items gathered for one transaction.
#[derive(Default)]
pub(super) struct Intake {
    items: Vec<Item>,
}

impl Intake {
    pub(super) fn add(&mut self, items: Vec<Item>) {
        if self.items.is_empty() {
            self.items = items;
        } else {
            self.items.extend(items);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.items)
    }
}

/// A transaction's worth of messages, each id once.
pub(super) struct Batch {
    /// In message order.
    pub(super) events: Vec<Event>,
    /// The ids of `events`, sorted: the order in which they are locked.
    pub(super) ids: Vec<Uuid>,
    /// What is parked without being claimed: undecodable bytes, and messages that the inbox can't know any more.
    pub(super) unclaimable: Vec<Parked>,
}

impl Batch {
    /// Sets aside what can't be claimed and folds repeats within the batch.
    pub(super) fn sort(items: Vec<Item>, now: SystemTime, horizon: Duration) -> Self {
        let oldest = now.checked_sub(horizon).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut events: Vec<Event> = Vec::with_capacity(items.len());
        let mut unclaimable = Vec::new();
        for item in items {
            match item {
                Item::Undecodable(parked) => unclaimable.push(parked),
                Item::Event(event) if time_of(event.id).is_some_and(|time| time < oldest) => {
                    let reason = "older than the inbox remembers: it may have been applied".to_owned();
                    unclaimable.push(Parked { event, reason, dead: true });
                }
                Item::Event(event) => events.push(event),
            }
        }
        let mut ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        ids.sort_unstable();
        let before = ids.len();
        ids.dedup();
        if ids.len() < before {
            let mut seen = std::collections::HashSet::with_capacity(ids.len());
            events.retain(|event| seen.insert(event.id));
        }
        Self { events, ids, unclaimable }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len() + self.unclaimable.len()
    }
}
