//! Relay faults injected for exercises: delayed publications, and damaged copies of events.
//!
//! Neither loses an event. What isn't published stays in the outbox; a damaged copy is published beside the real event,
//! with its own id, so that consumers park the copy and apply the real event.

use bytes::Bytes;
use flotilla_fault::{Fault, Faults};

use crate::event::Event;
use crate::frame::{self, Packer};
use crate::store::OutboxRow;
use flotilla_clock::Ids;

/// The `source` of damaged copies, which identifies them among the parked messages.
pub const POISON_SOURCE: &str = "/flotilla/fault";
/// Undecodable as any message type: the first varint is too long.
const UNREADABLE: &[u8] = &[0xff; 11];

/// The faults of a relay.
pub(super) struct RelayFaults {
    faults: Faults,
    ids: Option<Ids>,
}

impl RelayFaults {
    pub(super) fn none() -> Self {
        Self { faults: Faults::forbidden(), ids: None }
    }

    pub(super) fn new(faults: &Faults, ids: Ids) -> Self {
        faults.declare(&[Fault::BrokerStall, Fault::PoisonMessages]);
        Self { faults: faults.clone(), ids: Some(ids) }
    }

    /// Whether publications are delayed.
    pub(super) fn stall(&self) -> bool {
        self.faults.active(Fault::BrokerStall).is_some()
    }

    /// Whether damaged copies are published.
    pub(super) fn poison(&self) -> bool {
        self.faults.active(Fault::PoisonMessages).is_some()
    }

    /// Adds damaged copies of the selected events, each in a frame of its own.
    #[cold]
    pub(super) fn add_poison<R: OutboxRow>(&self, rows: &[R], packer: &mut Packer) {
        let Some(ids) = &self.ids else { return };
        for (subject, event) in rows.iter().flat_map(|row| decode(row).into_iter().map(|event| (row.subject(), event)))
        {
            if self.faults.inject(Fault::PoisonMessages).is_some() {
                let mut damaged = Vec::new();
                frame::encode(&damage(event, ids), POISON_SOURCE, &[], &mut damaged);
                packer.add(subject, ids.next(), 1, &damaged);
            }
        }
    }
}

fn decode<R: OutboxRow>(row: &R) -> Vec<Event> {
    let parts = frame::decode(row.subject(), &Bytes::copy_from_slice(row.payload()));
    parts.into_iter().flatten().filter_map(Result::ok).collect()
}

/// Names the event that it is a copy of; the data is unreadable.
fn damage(event: Event, ids: &Ids) -> Event {
    Event {
        id: ids.next(),
        source: POISON_SOURCE.to_owned(),
        causation_id: Some(event.id),
        data: Bytes::from_static(UNREADABLE),
        ..event
    }
}
