//! Pulled messages before any transaction: events in message order, and bytes that can't be decoded as events.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::broker::Delivery;
use crate::event::Event;
use crate::frame::{self, FramePart, Undecodable};
use crate::handler::Claim;
use crate::store::Parked;
use flotilla_clock::time_of;

/// The type under which undecodable bytes are parked.
pub const UNDECODABLE: &str = "flotilla.messaging.Undecodable";

/// An event or an undecodable part of a message.
pub(super) struct Item {
    /// The frame by which it is claimed; `None` if it is claimed by its own id.
    frame: Option<Uuid>,
    content: Content,
}

enum Content {
    Event(Event),
    Undecodable(Parked),
}

/// Splits a message into items; a payload that isn't a batch is one undecodable item.
pub(super) fn decode(message: &impl Delivery, claim: Claim) -> Vec<Item> {
    let (subject, payload) = (message.subject(), message.payload());
    let frames = match claim {
        Claim::Frame => message.frames().filter(|_| frame::is_within_bounds(payload)),
        Claim::Event => None,
    };
    let Some(frames) = frames else { return items(subject, payload, None) };
    let mut rest = payload.clone();
    let mut parts = |FramePart { id, bytes }| items(subject, &rest.split_to(bytes.min(rest.len())), Some(id));
    frames.into_iter().flat_map(&mut parts).collect()
}

fn items(subject: &str, payload: &Bytes, frame: Option<Uuid>) -> Vec<Item> {
    let undecodable = |broken| Item { frame, content: Content::Undecodable(park(subject, broken)) };
    match frame::decode(subject, payload) {
        Ok(parts) => {
            let event = |event| Item { frame, content: Content::Event(event) };
            parts.into_iter().map(|part| part.map_or_else(undecodable, event)).collect()
        }
        Err(broken) => vec![undecodable(broken)],
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

/// A UUID version 8 of the hash of the bytes, so that the same bytes are the same message.
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

/// How many items to take so that there are at most `max_events` and no frame is divided; the first frame is taken even
/// if it has more.
pub(super) fn cut(items: &[Item], max_events: usize) -> usize {
    let divides = |at: usize| items[at].frame.is_some() && items[at].frame == items[at - 1].frame;
    let whole = |at: &usize| *at == items.len() || !divides(*at);
    let most = max_events.max(1).min(items.len());
    (1..=most).rev().find(whole).or_else(|| (most..=items.len()).find(whole)).unwrap_or(items.len())
}

/// A transaction's worth of events.
pub(super) struct Batch {
    /// In message order.
    pub(super) events: Vec<Event>,
    /// The id of the frame or event by which each of `events` is claimed.
    pub(super) claimed_by: Vec<Uuid>,
    /// The claimed ids, distinct and sorted: the order in which they are locked.
    pub(super) claims: Vec<Uuid>,
    /// Whether an event occurs more than once.
    pub(super) repeats: bool,
    /// What is parked without being claimed: undecodable bytes, and events older than the inbox's retention.
    pub(super) unclaimable: Vec<Parked>,
}

impl Batch {
    /// Parks what can't be claimed.
    pub(super) fn sort(items: Vec<Item>, now: SystemTime, horizon: Duration, claims: Claim) -> Self {
        let oldest = now.checked_sub(horizon).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut events: Vec<Event> = Vec::with_capacity(items.len());
        let mut claimed_by = Vec::with_capacity(items.len());
        let mut unclaimable = Vec::new();
        for Item { frame, content } in items {
            match content {
                Content::Undecodable(parked) => unclaimable.push(parked),
                Content::Event(event) => {
                    let claim = frame.unwrap_or(event.id);
                    // The id of an event that isn't claimed by itself may be as old as its key.
                    let is_remembered = claims == Claim::Event || frame.is_some();
                    if is_remembered && time_of(claim).is_some_and(|time| time < oldest) {
                        let reason = "older than the inbox remembers: it may have been applied".to_owned();
                        unclaimable.push(Parked { event, reason, dead: true });
                    } else {
                        events.push(event);
                        claimed_by.push(claim);
                    }
                }
            }
        }
        let claims = distinct(claimed_by.iter().copied());
        let repeats = distinct(events.iter().map(|event| event.id)).len() < events.len();
        Self { events, claimed_by, claims, repeats, unclaimable }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len() + self.unclaimable.len()
    }
}

fn distinct(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_cut_between_frames() {
        let item = |frame: u128| Item {
            frame: (frame > 0).then(|| Uuid::from_u128(frame)),
            content: Content::Undecodable(park("a", Undecodable { bytes: Bytes::new(), reason: String::new() })),
        };
        // 0: an item that is claimed by itself.
        for (frames, max_events, wanted) in [
            (&[0, 0, 0, 0][..], 3, 3),
            (&[0, 0, 0], 3, 3),
            (&[1, 1, 2, 2, 2], 4, 2),
            (&[1, 1, 2, 2, 2], 5, 5),
            (&[1, 1, 1, 2], 2, 3),
            (&[1, 1, 1], 2, 3),
            (&[0, 1, 1, 0], 2, 1),
            (&[1, 2], 0, 1),
        ] {
            let items: Vec<Item> = frames.iter().map(|frame| item(*frame)).collect();
            assert_eq!(cut(&items, max_events), wanted, "{frames:?} by {max_events}");
        }
    }
}
