//! Events to play with.

use std::time::SystemTime;

use bytes::Bytes;
use flotilla_clock::Ids;
use flotilla_messaging::Event;

pub const SUBJECT: &str = "flotilla.orders.events";
/// A subject of the same stream that no consumer of these tests reads.
pub const UNREAD: &str = "flotilla.orders.others";
pub const KIND: &str = "test.v1.Thing";
pub const COMMAND: &str = "test.v1.DoThing";
pub const REPLY: &str = "test.v1.ThingDone";
pub const UNKNOWN: &str = "test.v1.Mystery";

/// An event whose data is a text.
pub fn event(ids: &Ids, kind: &str, data: &str) -> Event {
    let aggregate = format!("things/{}", data.chars().take(100).collect::<String>());
    Event {
        id: ids.next(),
        kind: kind.to_owned(),
        source: String::new(),
        subject: SUBJECT.to_owned(),
        aggregate: aggregate.clone(),
        aggregate_version: 1,
        causation_id: None,
        partition_key: aggregate,
        traceparent: None,
        time: SystemTime::UNIX_EPOCH,
        deadline: None,
        data: Bytes::copy_from_slice(data.as_bytes()),
    }
}

pub fn events(ids: &Ids, kind: &str, count: usize) -> Vec<Event> {
    (0..count).map(|number| event(ids, kind, &number.to_string())).collect()
}

pub fn text(event: &Event) -> &str {
    std::str::from_utf8(&event.data).unwrap()
}
