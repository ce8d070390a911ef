//! Faults of a relay, injected for exercises: delayed publications, and damaged copies of events.
//!
//! Neither costs an event. What isn't published stays in the outbox; a damaged copy goes out beside the true event,
//! under an id of its own, so that consumers park it and apply the true one.

use bytes::Bytes;
use flotilla_fault::{Fault, Faults};

use crate::event::Event;
use crate::frame::{self, Packer};
use crate::store::OutboxRow;
use flotilla_clock::Ids;

/// The `source` of damaged copies, by which they are found among the parked messages.
pub const POISON_SOURCE: &str = "/flotilla/fault";
/// No message of any type: the first varint is longer than a varint may be.
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

    /// Whether publications wait.
    pub(super) fn stall(&self) -> bool {
        self.faults.active(Fault::BrokerStall).is_some()
    }

    /// Whether damaged copies go out.
    pub(super) fn poison(&self) -> bool {
        self.faults.active(Fault::PoisonMessages).is_some()
    }

    /// Adds damaged copies of the events whose turn it is, each in a frame of its own.
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

/// Says of which event it is a copy, and nothing else that could be read.
fn damage(event: Event, ids: &Ids) -> Event {
    Event {
        id: ids.next(),
        source: POISON_SOURCE.to_owned(),
        causation_id: Some(event.id),
        data: Bytes::from_static(UNREADABLE),
        ..event
    }
}
