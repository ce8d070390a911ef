//! Hand-written encoding: one pass for the lengths and one for the bytes; only the version's digits are allocated.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BufMut;
use prost::encoding::{encode_varint, encoded_len_varint};

use super::{
    BATCH_EVENTS, EVENT_ATTRIBUTES, EVENT_BINARY_DATA, EVENT_ID, EVENT_SOURCE, EVENT_SPEC_VERSION, EVENT_TYPE,
    VALUE_STRING, VALUE_TIMESTAMP,
};
use crate::event::Event;

const SPEC_VERSION: &str = "1.0";
/// The wire type of strings, bytes and messages.
const LEN: u8 = 2;

/// Appends the event to the buffer as a batch of one. `extra` adds attributes; `source` is used if the event has none.
pub fn encode(event: &Event, source: &str, extra: &[(&str, &str)], out: &mut impl BufMut) {
    let mut id = [0_u8; uuid::fmt::Hyphenated::LENGTH];
    let id: &str = event.id.as_hyphenated().encode_lower(&mut id);
    let mut cause = [0_u8; uuid::fmt::Hyphenated::LENGTH];
    let version = event.aggregate_version.to_string();
    let source = if event.source.is_empty() { source } else { &event.source };

    let mut attributes: [(&str, &str); 5] = [("", ""); 5];
    attributes[0] = ("aggregate", &event.aggregate);
    attributes[1] = ("aggregateversion", &version);
    let mut used = 2;
    if event.partition_key != event.aggregate {
        attributes[used] = ("partitionkey", &event.partition_key);
        used += 1;
    }
    if let Some(causation_id) = event.causation_id {
        attributes[used] = ("causationid", causation_id.as_hyphenated().encode_lower(&mut cause));
        used += 1;
    }
    if let Some(traceparent) = &event.traceparent {
        attributes[used] = ("traceparent", traceparent);
        used += 1;
    }
    let attributes = attributes[..used].iter().chain(extra);
    let stamps = [("time", Some(event.time)), ("deadline", event.deadline)];
    let stamps = stamps.into_iter().filter_map(|(key, time)| time.map(|time| (key, Stamp::of(time))));

    let length = field_len(id.len())
        + field_len(source.len())
        + field_len(SPEC_VERSION.len())
        + field_len(event.kind.len())
        + attributes.clone().map(|(key, value)| field_len(attribute_len(key, field_len(value.len())))).sum::<usize>()
        + stamps.clone().map(|(key, stamp)| field_len(attribute_len(key, field_len(stamp.len())))).sum::<usize>()
        + field_len(event.data.len());

    put_head(BATCH_EVENTS, length, out);
    put_field(EVENT_ID, id.as_bytes(), out);
    put_field(EVENT_SOURCE, source.as_bytes(), out);
    put_field(EVENT_SPEC_VERSION, SPEC_VERSION.as_bytes(), out);
    put_field(EVENT_TYPE, event.kind.as_bytes(), out);
    for (key, value) in attributes {
        put_attribute_head(key, field_len(value.len()), out);
        put_field(VALUE_STRING, value.as_bytes(), out);
    }
    for (key, stamp) in stamps {
        put_attribute_head(key, field_len(stamp.len()), out);
        put_head(VALUE_TIMESTAMP, stamp.len(), out);
        stamp.put(out);
    }
    put_field(EVENT_BINARY_DATA, &event.data, out);
}

/// A length-delimited field with a tag below 16: key, length, content.
fn field_len(content: usize) -> usize {
    1 + encoded_len_varint(content as u64) + content
}

/// A map entry of the attributes: key field, value field.
fn attribute_len(key: &str, value: usize) -> usize {
    field_len(key.len()) + field_len(value)
}

fn put_head(tag: u8, length: usize, out: &mut impl BufMut) {
    out.put_u8(tag << 3 | LEN);
    encode_varint(length as u64, out);
}

fn put_field(tag: u8, content: &[u8], out: &mut impl BufMut) {
    put_head(tag, content.len(), out);
    out.put_slice(content);
}

fn put_attribute_head(key: &str, value: usize, out: &mut impl BufMut) {
    put_head(EVENT_ATTRIBUTES, attribute_len(key, value), out);
    put_field(1, key.as_bytes(), out);
    put_head(2, value, out);
}

/// A `google.protobuf.Timestamp`.
#[derive(Clone, Copy)]
struct Stamp {
    seconds: u64,
    nanos: u64,
}

impl Stamp {
    fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs(), nanos: u64::from(since.subsec_nanos()) }
    }

    fn len(self) -> usize {
        let field = |value: u64| if value == 0 { 0 } else { 1 + encoded_len_varint(value) };
        field(self.seconds) + field(self.nanos)
    }

    fn put(self, out: &mut impl BufMut) {
        for (tag, value) in [(1_u8, self.seconds), (2, self.nanos)] {
            if value != 0 {
                out.put_u8(tag << 3);
                encode_varint(value, out);
            }
        }
    }
}
