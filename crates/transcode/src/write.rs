//! Converts messages from the wire format directly to JSON, without a dynamic message.

mod value;

use std::io::Write as _;

use prost::Message as _;
use prost_reflect::{DynamicMessage, SerializeOptions};
use prost_types::Timestamp;

use crate::schema::{Field, Form, Kind, Label, Message, Scalar, Schema};
use crate::wire::{self, Value};
use value::{check, is_wide, unpack, width};

/// Maximum nesting of messages.
const MAX_DEPTH: usize = 100;
/// The first and last second that RFC 3339 can represent.
const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A response that violates the contract.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The bytes aren't the message.
    #[error("response can't be decoded: {0}")]
    Decode(#[from] prost::DecodeError),
    /// Text in it isn't UTF-8.
    #[error("response contains text that is not UTF-8")]
    NotUtf8,
    /// A time before the year 1 or after 9999.
    #[error("response contains a time outside the years 1 to 9999")]
    Time,
    /// Messages are nested too deeply.
    #[error("response is nested too deeply")]
    Deep,
    /// The message has no JSON form.
    #[error("response can't be written as json: {0}")]
    Encode(#[from] serde_json::Error),
}

/// Writes a message.
///
/// # Errors
/// The bytes aren't the message, or it has no JSON form.
pub fn message(schema: &Schema, index: usize, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), RenderError> {
    Writer { schema, out, slots: Vec::with_capacity(32), depth: 0 }.message(schema.message(index), bytes)
}

/// Writes one field of a message; null if it is absent.
///
/// # Errors
/// As [`message`].
pub fn field(schema: &Schema, index: usize, name: usize, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), RenderError> {
    let mut writer = Writer { schema, out, slots: Vec::new(), depth: 0 };
    let message = schema.message(index);
    writer.scan(message, bytes)?;
    let (field, slot) = (&message.fields[name], writer.slots[name]);
    if slot.count == 0 && field.presence {
        writer.out.extend_from_slice(b"null");
        return Ok(());
    }
    writer.field(field, slot, bytes)
}

/// The position of a field: the last value of a singular one, or the range of a list.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    count: usize,
    start: usize,
    end: usize,
    bits: u64,
}

struct Writer<'s, 'o> {
    schema: &'s Schema,
    out: &'o mut Vec<u8>,
    /// A stack with the fields of each open message.
    slots: Vec<Slot>,
    depth: usize,
}

impl<'s> Writer<'s, '_> {
    fn message(&mut self, message: &'s Message, bytes: &[u8]) -> Result<(), RenderError> {
        match message.form {
            Form::Object => {}
            Form::Timestamp => return self.timestamp(bytes),
            Form::WellKnown => return self.well_known(message, bytes),
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(RenderError::Deep);
        }
        let base = self.slots.len();
        self.scan(message, bytes)?;
        self.out.push(b'{');
        let mut first = true;
        for (index, field) in message.fields.iter().enumerate() {
            let slot = self.slots[base + index];
            if field.hidden || (slot.count == 0 && field.presence) {
                continue;
            }
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.key);
            self.field(field, slot, bytes)?;
        }
        self.out.push(b'}');
        self.slots.truncate(base);
        self.depth -= 1;
        Ok(())
    }

    /// Pushes a slot for each field.
    fn scan(&mut self, message: &Message, bytes: &[u8]) -> Result<(), RenderError> {
        let base = self.slots.len();
        self.slots.resize(base + message.fields.len(), Slot::default());
        let mut entries = wire::entries(bytes);
        while let Some(entry) = entries.next()? {
            let Some(index) = message.numbered(entry.number) else { continue };
            let field = &message.fields[index];
            if let Some(oneof) = field.oneof {
                // The last value counts.
                for (other, slot) in message.fields.iter().zip(&mut self.slots[base..]) {
                    if other.oneof == Some(oneof) && other.number != field.number {
                        *slot = Slot::default();
                    }
                }
            }
            let slot = &mut self.slots[base + index];
            slot.count += 1;
            match (field.label, entry.value) {
                (Label::Singular, Value::Raw(raw)) => slot.bits = check(field, raw)?,
                // A message may be split into parts, whose range is recorded as for a list.
                (Label::Singular, Value::Bytes(range)) if !matches!(field.kind, Kind::Message(_)) => {
                    if width(field).is_some() {
                        return Err(wire::broken().into());
                    }
                    (slot.start, slot.end) = (range.start, range.end);
                }
                _ => {
                    slot.start = if slot.count == 1 { entry.start } else { slot.start };
                    slot.end = entry.end;
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &'s Field, slot: Slot, bytes: &[u8]) -> Result<(), RenderError> {
        let stretch = &bytes[slot.start..slot.end];
        match (field.label, &field.kind) {
            (Label::Singular, Kind::Message(inner)) => {
                let inner = self.schema.message(*inner);
                match wire::entries(stretch).next()?.map(|entry| entry.value) {
                    Some(Value::Bytes(range)) if slot.count == 1 => self.message(inner, &stretch[range]),
                    _ => self.message(inner, &parts(field, stretch)?.concat()),
                }
            }
            (Label::Singular, Kind::Scalar(Scalar::String | Scalar::Bytes)) => self.bytes(field, stretch),
            (Label::Singular, _) => self.number(field, slot.bits),
            (Label::Repeated, _) => self.list(field, stretch),
            (Label::Map, Kind::Message(entry)) => self.map(field, self.schema.message(*entry), stretch),
            (Label::Map, _) => Err(wire::broken().into()),
        }
    }

    fn list(&mut self, field: &'s Field, stretch: &[u8]) -> Result<(), RenderError> {
        self.out.push(b'[');
        let mut entries = wire::entries(stretch);
        let mut first = true;
        while let Some(entry) = entries.next()? {
            if entry.number != field.number {
                continue;
            }
            match (&field.kind, entry.value) {
                (Kind::Message(inner), Value::Bytes(range)) => {
                    self.comma(&mut first);
                    self.message(self.schema.message(*inner), &stretch[range])?;
                }
                (Kind::Scalar(Scalar::String | Scalar::Bytes), Value::Bytes(range)) => {
                    self.comma(&mut first);
                    self.bytes(field, &stretch[range])?;
                }
                (Kind::Scalar(_) | Kind::Enum(_), Value::Bytes(range)) => {
                    let mut packed = &stretch[range];
                    while !packed.is_empty() {
                        self.comma(&mut first);
                        let bits = unpack(field, &mut packed)?;
                        self.number(field, bits)?;
                    }
                }
                (_, Value::Raw(raw)) => {
                    self.comma(&mut first);
                    self.number(field, check(field, raw)?)?;
                }
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn map(&mut self, field: &Field, entry: &'s Message, stretch: &[u8]) -> Result<(), RenderError> {
        let [key, value] = entry.fields.as_slice() else { return Err(wire::broken().into()) };
        self.out.push(b'{');
        let mut first = true;
        for part in parts(field, stretch)? {
            self.comma(&mut first);
            let base = self.slots.len();
            self.scan(entry, part)?;
            let (key_slot, value_slot) = (self.slots[base], self.slots[base + 1]);
            let quoted = !matches!(key.kind, Kind::Scalar(Scalar::String)) && !is_wide(key);
            if quoted {
                self.out.push(b'"');
            }
            self.field(key, key_slot, part)?;
            if quoted {
                self.out.push(b'"');
            }
            self.out.push(b':');
            self.field(value, value_slot, part)?;
            self.slots.truncate(base);
        }
        self.out.push(b'}');
        Ok(())
    }

    fn comma(&mut self, first: &mut bool) {
        if !std::mem::take(first) {
            self.out.push(b',');
        }
    }

    fn timestamp(&mut self, bytes: &[u8]) -> Result<(), RenderError> {
        let time = Timestamp::decode(bytes)?;
        if !YEARS.contains(&time.seconds) || !(0..1_000_000_000).contains(&time.nanos) {
            return Err(RenderError::Time);
        }
        let _ = write!(self.out, "\"{time}\"");
        Ok(())
    }

    fn well_known(&mut self, message: &Message, bytes: &[u8]) -> Result<(), RenderError> {
        let message = DynamicMessage::decode(message.descriptor.clone(), bytes)?;
        let mut json = serde_json::Serializer::new(&mut *self.out);
        Ok(message.serialize_with_options(&mut json, &SerializeOptions::new().skip_default_fields(false))?)
    }
}

/// The messages of a field in a range.
fn parts<'a>(field: &Field, stretch: &'a [u8]) -> Result<Vec<&'a [u8]>, RenderError> {
    let mut parts = Vec::new();
    let mut entries = wire::entries(stretch);
    while let Some(entry) = entries.next()? {
        match entry.value {
            _ if entry.number != field.number => {}
            Value::Bytes(range) => parts.push(&stretch[range]),
            Value::Raw(_) => return Err(wire::broken().into()),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
