//! Frames: batches of events of one subject in CloudEvents' protobuf format (`io.cloudevents.v1.CloudEventBatch`).
//!
//! An event is encoded once, when it is appended to the outbox, as a batch of one. Encoded protobuf messages concatenate, so the relay makes a frame by
//! copying such batches one after the other. Coding is by hand: the generated types would allocate a map and a dozen strings for each event.
//!
//! CloudEvents attributes: `id`, `source`, `specversion` and `type` in their own fields; `time` as a timestamp; the extensions `aggregate`,
//! `aggregateversion`, `partitionkey`, `causationid` and `traceparent` as strings. The data is `binary_data`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, decode_key, decode_varint, encode_varint, encoded_len_varint, skip_field};
use uuid::Uuid;

use crate::event::Event;

/// A frame is closed before it would grow beyond this; a single larger event goes alone.
pub const MAX_FRAME_BYTES: usize = 64 * 1_024;

const SPEC_VERSION: &str = "1.0";
const LEN: u8 = 2;
const BATCH_EVENTS: u8 = 1;
const EVENT_ID: u8 = 1;
const EVENT_SOURCE: u8 = 2;
const EVENT_SPEC_VERSION: u8 = 3;
const EVENT_TYPE: u8 = 4;
const EVENT_ATTRIBUTES: u8 = 5;
const EVENT_BINARY_DATA: u8 = 6;
const VALUE_STRING: u8 = 3;
const VALUE_TIMESTAMP: u8 = 7;

/// One broker message to be: a subject and its events.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The subject of all events inside.
    pub subject: String,
    /// The encoded batch.
    pub payload: Bytes,
    /// How many events are inside.
    pub events: usize,
}

/// Appends the event to the buffer as a batch of one. `extra` adds attributes; `source` stands in where the event names none.
pub fn encode(event: &Event, source: &str, extra: &[(&str, &str)], out: &mut impl BufMut) {
    let mut id = [0_u8; uuid::fmt::Hyphenated::LENGTH];
    let id: &str = event.id.as_hyphenated().encode_lower(&mut id);
    let mut cause = [0_u8; uuid::fmt::Hyphenated::LENGTH];
    let version = event.aggregate_version.to_string();
    let source = if event.source.is_empty() { source } else { &event.source };

    let mut attributes: [(&str, &str); 5] = [("", ""); 5];
    attributes[0] = ("aggregate", &event.aggregate);
    attributes[1] = ("aggregateversion", &version);
    attributes[2] = ("partitionkey", &event.partition_key);
    let mut used = 3;
    if let Some(causation_id) = event.causation_id {
        attributes[used] = ("causationid", causation_id.as_hyphenated().encode_lower(&mut cause));
        used += 1;
    }
    if let Some(traceparent) = &event.traceparent {
        attributes[used] = ("traceparent", traceparent);
        used += 1;
    }
    let attributes = attributes[..used].iter().chain(extra);
    let time = Stamp::of(event.time);

    let length = field_len(id.len())
        + field_len(source.len())
        + field_len(SPEC_VERSION.len())
        + field_len(event.kind.len())
        + attributes.clone().map(|(key, value)| field_len(attribute_len(key, field_len(value.len())))).sum::<usize>()
        + field_len(attribute_len("time", field_len(time.len())))
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
    put_attribute_head("time", field_len(time.len()), out);
    put_head(VALUE_TIMESTAMP, time.len(), out);
    time.put(out);
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

/// A part of a frame that isn't an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// The bytes.
    pub bytes: Bytes,
    /// What is wrong with them.
    pub reason: String,
}

/// Decodes a frame. The data of each event is a slice of the payload. A bad event leaves the others intact.
///
/// # Errors
/// If the payload isn't a batch at all.
pub fn decode(subject: &str, payload: &Bytes) -> Result<Vec<Result<Event, Undecodable>>, Undecodable> {
    let broken = |reason: String| Undecodable { bytes: payload.clone(), reason };
    let mut rest = payload.clone();
    let mut events = Vec::new();
    while rest.has_remaining() {
        let (tag, wire) = decode_key(&mut rest).map_err(|error| broken(error.to_string()))?;
        if tag != u32::from(BATCH_EVENTS) || wire != WireType::LengthDelimited {
            return Err(broken(format!("unexpected field {tag} in a batch of events")));
        }
        let bytes = take(&mut rest).map_err(broken)?;
        events.push(decode_event(subject, bytes.clone()).map_err(|reason| Undecodable { bytes, reason }));
    }
    if events.is_empty() {
        return Err(broken("no events".to_owned()));
    }
    Ok(events)
}

/// The fields of an event as they are found; each `Bytes` is a slice of the payload.
#[derive(Default)]
struct Found {
    id: Option<Bytes>,
    kind: Option<Bytes>,
    source: Option<Bytes>,
    data: Bytes,
    aggregate: Option<Bytes>,
    aggregate_version: Option<Bytes>,
    causation_id: Option<Bytes>,
    partition_key: Option<Bytes>,
    traceparent: Option<Bytes>,
    time: Option<SystemTime>,
}

fn decode_event(subject: &str, mut bytes: Bytes) -> Result<Event, String> {
    let mut found = Found::default();
    while bytes.has_remaining() {
        let (tag, wire) = decode_key(&mut bytes).map_err(|error| error.to_string())?;
        let length_delimited = wire == WireType::LengthDelimited;
        match u8::try_from(tag) {
            Ok(EVENT_ID) if length_delimited => found.id = Some(take(&mut bytes)?),
            Ok(EVENT_SOURCE) if length_delimited => found.source = Some(take(&mut bytes)?),
            Ok(EVENT_TYPE) if length_delimited => found.kind = Some(take(&mut bytes)?),
            Ok(EVENT_BINARY_DATA) if length_delimited => found.data = take(&mut bytes)?,
            Ok(EVENT_ATTRIBUTES) if length_delimited => decode_attribute(take(&mut bytes)?, &mut found)?,
            _ => skip_field(wire, tag, &mut bytes, prost::encoding::DecodeContext::default())
                .map_err(|error| error.to_string())?,
        }
    }
    let aggregate = text(found.aggregate)?.unwrap_or_default();
    Ok(Event {
        id: required_id(found.id)?,
        kind: text(found.kind)?.filter(|kind| !kind.is_empty()).ok_or("the event has no type")?,
        source: text(found.source)?.unwrap_or_default(),
        subject: subject.to_owned(),
        partition_key: text(found.partition_key)?.unwrap_or_else(|| aggregate.clone()),
        aggregate,
        aggregate_version: match found.aggregate_version {
            Some(version) => utf8(&version)?.parse().map_err(|_| "the aggregate version is not a number")?,
            None => 0,
        },
        causation_id: found.causation_id.map(|id| parse_id(&id)).transpose()?,
        traceparent: text(found.traceparent)?,
        time: found.time.unwrap_or(UNIX_EPOCH),
        data: found.data,
    })
}

fn decode_attribute(mut entry: Bytes, found: &mut Found) -> Result<(), String> {
    let mut key = Bytes::new();
    let mut value = Bytes::new();
    while entry.has_remaining() {
        let (tag, wire) = decode_key(&mut entry).map_err(|error| error.to_string())?;
        match (tag, wire) {
            (1, WireType::LengthDelimited) => key = take(&mut entry)?,
            (2, WireType::LengthDelimited) => value = take(&mut entry)?,
            _ => skip_field(wire, tag, &mut entry, prost::encoding::DecodeContext::default())
                .map_err(|error| error.to_string())?,
        }
    }
    let slot = match key.as_ref() {
        b"aggregate" => &mut found.aggregate,
        b"aggregateversion" => &mut found.aggregate_version,
        b"partitionkey" => &mut found.partition_key,
        b"causationid" => &mut found.causation_id,
        b"traceparent" => &mut found.traceparent,
        b"time" => {
            found.time = Some(decode_time(attribute_value(value, VALUE_TIMESTAMP)?)?);
            return Ok(());
        }
        // Attributes of later versions.
        _ => return Ok(()),
    };
    *slot = Some(attribute_value(value, VALUE_STRING)?);
    Ok(())
}

fn attribute_value(mut value: Bytes, wanted: u8) -> Result<Bytes, String> {
    let (tag, wire) = decode_key(&mut value).map_err(|error| error.to_string())?;
    if tag != u32::from(wanted) || wire != WireType::LengthDelimited {
        return Err(format!("an attribute has a value of kind {tag}"));
    }
    take(&mut value)
}

fn decode_time(mut stamp: Bytes) -> Result<SystemTime, String> {
    let (mut seconds, mut nanos) = (0, 0);
    while stamp.has_remaining() {
        let (tag, wire) = decode_key(&mut stamp).map_err(|error| error.to_string())?;
        if wire != WireType::Varint {
            return Err("the time is not a timestamp".to_owned());
        }
        let value = decode_varint(&mut stamp).map_err(|error| error.to_string())?;
        match tag {
            1 => seconds = value,
            2 => nanos = value,
            _ => {}
        }
    }
    u32::try_from(nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)
        .and_then(|nanos| UNIX_EPOCH.checked_add(Duration::new(seconds, nanos)))
        .ok_or_else(|| "the time is out of range".to_owned())
}

fn take(from: &mut Bytes) -> Result<Bytes, String> {
    let length = decode_varint(from).map_err(|error| error.to_string())?;
    match usize::try_from(length) {
        Ok(length) if length <= from.len() => Ok(from.split_to(length)),
        _ => Err("a field ends beyond its message".to_owned()),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "an attribute is not UTF-8".to_owned())
}

fn text(bytes: Option<Bytes>) -> Result<Option<String>, String> {
    bytes.map(|bytes| utf8(&bytes).map(str::to_owned)).transpose()
}

fn parse_id(bytes: &[u8]) -> Result<Uuid, String> {
    Uuid::try_parse_ascii(bytes).map_err(|_| "an id is not a UUID".to_owned())
}

fn required_id(bytes: Option<Bytes>) -> Result<Uuid, String> {
    parse_id(&bytes.ok_or("the event has no id")?)
}

/// Packs encoded events into frames, one subject to a frame, in the order given within each subject.
#[derive(Default)]
pub struct Packer {
    open: Vec<(String, BytesMut, usize)>,
    full: Vec<Frame>,
}

impl Packer {
    /// Adds one event as [`encode`] made it.
    pub fn add(&mut self, subject: &str, encoded: &[u8]) {
        let index = match self.open.iter().position(|(open, ..)| open == subject) {
            Some(index) => index,
            None => {
                self.open.push((subject.to_owned(), BytesMut::new(), 0));
                self.open.len() - 1
            }
        };
        let (subject, buffer, events) = &mut self.open[index];
        if *events > 0 && buffer.len() + encoded.len() > MAX_FRAME_BYTES {
            let payload = buffer.split().freeze();
            self.full.push(Frame { subject: subject.clone(), payload, events: std::mem::take(events) });
        }
        buffer.extend_from_slice(encoded);
        *events += 1;
    }

    /// All frames.
    pub fn finish(mut self) -> Vec<Frame> {
        self.full.extend(
            self.open.into_iter().filter(|(.., events)| *events > 0).map(|(subject, buffer, events)| Frame {
                subject,
                payload: buffer.freeze(),
                events,
            }),
        );
        self.full
    }
}
