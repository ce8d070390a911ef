//! Protobuf's wire format, as far as transcoding needs it: writing fields, iterating over them, finding one by its
//! path, and inserting one into an encoded message.

use bytes::Buf as _;
use prost::DecodeError;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint};

/// A value that isn't length-delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raw {
    /// A varint.
    Varint(u64),
    /// Four bytes.
    Fixed32(u32),
    /// Eight bytes.
    Fixed64(u64),
}

impl Raw {
    /// Whether it is the default of its type, which proto3 doesn't write.
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Varint(0) | Self::Fixed32(0) | Self::Fixed64(0))
    }

    /// Writes it without a key.
    pub fn put(self, out: &mut Vec<u8>) {
        match self {
            Self::Varint(value) => encode_varint(value, out),
            Self::Fixed32(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Fixed64(value) => out.extend_from_slice(&value.to_le_bytes()),
        }
    }

    /// Its encoding on the wire.
    pub fn wire_type(self) -> WireType {
        match self {
            Self::Varint(_) => WireType::Varint,
            Self::Fixed32(_) => WireType::ThirtyTwoBit,
            Self::Fixed64(_) => WireType::SixtyFourBit,
        }
    }

    /// The bits, whatever their width.
    pub fn bits(self) -> u64 {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => value,
            Self::Fixed32(value) => u64::from(value),
        }
    }
}

/// Writes a number with its key.
pub(crate) fn put_raw(out: &mut Vec<u8>, number: u32, raw: Raw) {
    encode_key(number, raw.wire_type(), out);
    raw.put(out);
}

/// Writes text or bytes with their key and length.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Begins a length-delimited value of unknown length; pass the result to [`close`].
pub fn open(out: &mut Vec<u8>, number: u32) -> usize {
    encode_key(number, WireType::LengthDelimited, out);
    // Most lengths fit into one byte.
    out.push(0);
    out.len()
}

/// Ends a value that [`open`] began: writes its length.
pub fn close(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    if let (true, Ok(byte)) = (length < 0x80, u8::try_from(length)) {
        out[start - 1] = byte;
        return;
    }
    let mut prefix = Vec::with_capacity(encoded_len_varint(length as u64));
    encode_varint(length as u64, &mut prefix);
    out.splice(start - 1..start, prefix);
}

/// A value on the wire: a number, or the range of its bytes in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number.
    Raw(Raw),
    /// Text, bytes, a message or packed numbers.
    Bytes(std::ops::Range<usize>),
}

/// One field of a message.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Value,
    /// The start of its key.
    pub start: usize,
    /// Its end.
    pub end: usize,
}

/// Iterates over the fields of an encoded message.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The fields of an encoded message.
pub(crate) fn entries(bytes: &[u8]) -> Entries<'_> {
    entries_from(bytes, 0)
}

/// The fields from an offset at which one begins.
pub(crate) fn entries_from(bytes: &[u8], at: usize) -> Entries<'_> {
    Entries { bytes, at }
}

impl Entries<'_> {
    /// The next field; `None` at the end.
    ///
    /// # Errors
    /// The bytes aren't a message.
    pub fn next(&mut self) -> Result<Option<Entry>, DecodeError> {
        let (start, mut rest) = (self.at, self.bytes.get(self.at..).unwrap_or_default());
        if rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = decode_key(&mut rest)?;
        let value = match wire_type {
            WireType::Varint => Value::Raw(Raw::Varint(decode_varint(&mut rest)?)),
            WireType::SixtyFourBit if rest.len() >= 8 => Value::Raw(Raw::Fixed64(rest.get_u64_le())),
            WireType::ThirtyTwoBit if rest.len() >= 4 => Value::Raw(Raw::Fixed32(rest.get_u32_le())),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut rest)?).unwrap_or(usize::MAX);
                if length > rest.len() {
                    return Err(broken());
                }
                let from = self.bytes.len() - rest.len();
                rest.advance(length);
                Value::Bytes(from..from + length)
            }
            _ => return Err(broken()),
        };
        self.at = self.bytes.len() - rest.len();
        Ok(Some(Entry { number, value, start, end: self.at }))
    }
}

/// The error for malformed bytes.
pub(crate) fn broken() -> DecodeError {
    // The error has no public constructor: decoding an incomplete varint creates one.
    decode_varint(&mut [0x80_u8].as_slice()).expect_err("a varint without an end")
}

/// The last value at a path of field numbers through messages.
fn last(bytes: &[u8], number: u32) -> Option<Entry> {
    let mut found = None;
    let mut fields = entries(bytes);
    while let Ok(Some(entry)) = fields.next() {
        if entry.number == number {
            found = Some(entry);
        }
    }
    found
}

/// Whether a message has a value at a path of field numbers.
pub fn has(bytes: &[u8], path: &[u32]) -> bool {
    match path {
        [] => false,
        [number] => last(bytes, *number).is_some(),
        [number, rest @ ..] => match last(bytes, *number).map(|entry| entry.value) {
            Some(Value::Bytes(range)) => has(&bytes[range], rest),
            _ => false,
        },
    }
}

/// The text or bytes at a path of field numbers; `None` if there are none.
pub(crate) fn find<'a>(bytes: &'a [u8], path: &[u32]) -> Option<&'a [u8]> {
    let (number, rest) = path.split_first()?;
    let Value::Bytes(range) = last(bytes, *number)?.value else { return None };
    if rest.is_empty() { Some(&bytes[range]) } else { find(&bytes[range], rest) }
}

/// The text at a path of field numbers; `None` if it is missing or empty.
pub fn text<'a>(bytes: &'a [u8], path: &[u32]) -> Option<&'a str> {
    find(bytes, path).and_then(|value| std::str::from_utf8(value).ok()).filter(|text| !text.is_empty())
}

/// The number at a path of field numbers that ends at a varint; `None` if it is missing.
pub fn number(bytes: &[u8], path: &[u32]) -> Option<u64> {
    let (last_number, parents) = path.split_last()?;
    let message = if parents.is_empty() { bytes } else { find(bytes, parents)? };
    match last(message, *last_number)?.value {
        Value::Raw(Raw::Varint(number)) => Some(number),
        _ => None,
    }
}

/// Inserts an encoded field into the message at `parents`, which is created if it is missing. Afterwards no message
/// occurs twice, so that readers needn't merge any.
pub fn insert(out: &mut Vec<u8>, parents: &[u32], field: &[u8]) {
    let Some((number, rest)) = parents.split_first() else {
        out.extend_from_slice(field);
        return;
    };
    let (mut inner, place) = match last(out, *number) {
        Some(Entry { value: Value::Bytes(range), start, end, .. }) => (out[range].to_vec(), start..end),
        _ => (Vec::new(), out.len()..out.len()),
    };
    insert(&mut inner, rest, field);
    let mut outer = Vec::with_capacity(inner.len() + 8);
    put_bytes(&mut outer, *number, &inner);
    out.splice(place, outer);
}

/// Removes the last value at a path of field numbers from a message and returns it.
pub fn remove(out: &mut Vec<u8>, path: &[u32]) {
    let Some((number, rest)) = path.split_first() else { return };
    match last(out, *number) {
        Some(Entry { start, end, .. }) if rest.is_empty() => drop(out.drain(start..end)),
        Some(Entry { value: Value::Bytes(range), start, end, .. }) => {
            let mut inner = out[range].to_vec();
            remove(&mut inner, rest);
            let mut outer = Vec::with_capacity(inner.len() + 8);
            put_bytes(&mut outer, *number, &inner);
            out.splice(start..end, outer);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use flotilla_proto::inventory::v1::{Product, UpdateProductRequest};
    use prost::Message as _;

    use super::*;

    fn update() -> UpdateProductRequest {
        let product = Product { name: "products/tea".into(), description: "d".repeat(300), ..Product::default() };
        UpdateProductRequest { product: Some(product), update_mask: None }
    }

    #[test]
    fn lengths_of_any_size_are_written() {
        for length in [0, 1, 127, 128, 300, 20_000] {
            let mut out = Vec::new();
            let start = open(&mut out, 1);
            out.extend(std::iter::repeat_n(b'x', length));
            close(&mut out, start);
            let mut expected = Vec::new();
            put_bytes(&mut expected, 1, "x".repeat(length).as_bytes());
            assert_eq!(out, expected, "{length}");
        }
    }

    #[test]
    fn a_value_is_found_by_its_path() {
        let bytes = update().encode_to_vec();
        assert_eq!(text(&bytes, &[1, 1]), Some("products/tea"));
        assert_eq!(text(&bytes, &[1, 2]), None);
        assert!(has(&bytes, &[1]) && !has(&bytes, &[2]) && !has(&bytes, &[1, 1, 1]));
        assert_eq!(text(&[0xff, 0xff], &[1]), None, "malformed bytes have no value");
    }

    #[test]
    fn an_inserted_field_is_added_to_the_existing_message() {
        let mut bytes = update().encode_to_vec();
        let mut field = Vec::new();
        put_bytes(&mut field, 2, b"Tea");
        insert(&mut bytes, &[1], &field);
        let mut units = Vec::new();
        put_raw(&mut units, 2, Raw::Varint(5));
        insert(&mut bytes, &[1, 4], &units);
        let read = UpdateProductRequest::decode(bytes.as_slice()).unwrap();
        let product = read.product.unwrap();
        assert_eq!((product.display_name.as_str(), product.price.unwrap().units), ("Tea", 5));
        assert_eq!(product.name, "products/tea");
        let mut count = 0;
        let mut all = entries(&bytes);
        while all.next().unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 1);
    }
}
