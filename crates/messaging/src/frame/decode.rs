//! Hand-written decoding: the data stays a slice of the payload, and an invalid event doesn't affect the others of its
//! frame.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use uuid::Uuid;

use super::{
    BATCH_EVENTS, EVENT_ATTRIBUTES, EVENT_BINARY_DATA, EVENT_ID, EVENT_SOURCE, EVENT_TYPE, MAX_ATTRIBUTE_BYTES,
    MAX_MESSAGE_BYTES, MAX_MESSAGE_EVENTS, VALUE_STRING, VALUE_TIMESTAMP,
};
use crate::event::Event;

/// A part of a frame that isn't an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// The bytes.
    pub bytes: Bytes,
    /// What is wrong with them.
    pub reason: String,
}

/// Decodes a frame or a message. The data of each event is a slice of the payload. An invalid event doesn't affect the
/// others.
///
/// # Errors
/// If the payload isn't a batch, or exceeds the bounds of a frame; then nothing is allocated for its events.
pub fn decode(subject: &str, payload: &Bytes) -> Result<Vec<Result<Event, Undecodable>>, Undecodable> {
    let broken = |reason: String| Undecodable { bytes: payload.clone(), reason };
    let count = count(payload).map_err(broken)?;
    let mut events = Vec::with_capacity(count);
    let mut rest = payload.clone();
    while rest.has_remaining() {
        decode_key(&mut rest).map_err(|error| broken(error.to_string()))?;
        let bytes = take(&mut rest).map_err(broken)?;
        events.push(decode_event(subject, bytes.clone()).map_err(|reason| Undecodable { bytes, reason }));
    }
    Ok(events)
}

/// Whether a payload is a batch within the bounds of a message. Reads only keys and lengths.
#[must_use]
pub fn is_within_bounds(payload: &[u8]) -> bool {
    count(payload).is_ok()
}

/// The number of events in a payload, from one to [`MAX_MESSAGE_EVENTS`]. Reads only keys and lengths.
fn count(payload: &[u8]) -> Result<usize, String> {
    let (mut rest, mut events) = (payload, 0);
    while rest.has_remaining() {
        let (tag, wire) = decode_key(&mut rest).map_err(|error| error.to_string())?;
        if tag != u32::from(BATCH_EVENTS) || wire != WireType::LengthDelimited {
            return Err(format!("unexpected field {tag} in a batch of events"));
        }
        let length = decode_varint(&mut rest).map_err(|error| error.to_string())?;
        let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
        rest.advance(length.ok_or("a field ends beyond its message")?);
        events += 1;
        if events > MAX_MESSAGE_EVENTS {
            return Err(format!("more than {MAX_MESSAGE_EVENTS} events in a message"));
        }
    }
    match events {
        0 => Err("no events".to_owned()),
        1 => Ok(1),
        _ if payload.len() > MAX_MESSAGE_BYTES => {
            Err(format!("{events} events in a message of more than {MAX_MESSAGE_BYTES} bytes"))
        }
        _ => Ok(events),
    }
}

/// The fields found in an event; each `Bytes` is a slice of the payload.
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
    deadline: Option<SystemTime>,
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
            _ => skip_field(wire, tag, &mut bytes, DecodeContext::default()).map_err(|error| error.to_string())?,
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
        deadline: found.deadline,
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
            _ => skip_field(wire, tag, &mut entry, DecodeContext::default()).map_err(|error| error.to_string())?,
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
        b"deadline" => {
            found.deadline = Some(decode_time(attribute_value(value, VALUE_TIMESTAMP)?)?);
            return Ok(());
        }
        // Attributes of later versions are ignored.
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
    if bytes.len() > MAX_ATTRIBUTE_BYTES {
        return Err(format!("an attribute has more than {MAX_ATTRIBUTE_BYTES} bytes"));
    }
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
