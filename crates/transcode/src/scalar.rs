//! Scalar values: converts JSON numbers and text to the wire format.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{DeserializeOptions, DynamicMessage};
use serde_json::Value;

use crate::schema::{Enum, Field, FieldPath, Kind, Scalar, Schema};
use crate::wire::{self, Raw};

const PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDING);

/// The error for a number that is out of range.
const RANGE: &str = "number too large or too small: out of range";

/// A number as the JSON parser returns it.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// A negative integer.
    Signed(i64),
    /// A non-negative integer.
    Unsigned(u64),
    /// A number with a fraction or an exponent, or too large for the others.
    Float(f64),
}

/// Converts a JSON number.
///
/// # Errors
/// The value isn't of this type.
pub fn number(kind: Scalar, number: Number) -> Result<Raw, String> {
    match kind {
        Scalar::Double => Ok(Raw::Fixed64(real(number).to_bits())),
        Scalar::Float => float(real(number)),
        Scalar::String | Scalar::Bytes | Scalar::Bool => Err(format!("invalid type: number, expected {}", named(kind))),
        Scalar::Uint32 | Scalar::Fixed32 | Scalar::Uint64 | Scalar::Fixed64 => unsigned(kind, whole(number)?),
        _ => signed(kind, whole(number)?),
    }
}

/// Converts text: numbers may be written as strings, and always are in a query.
///
/// # Errors
/// The value isn't of this type.
pub fn text(kind: Scalar, text: &str) -> Result<Raw, String> {
    let whole = || match text.strip_prefix('-').unwrap_or(text) {
        // JSON's syntax of numbers; Rust accepts more.
        digits if digits.starts_with('+') || (digits.starts_with('0') && digits.len() > 1) => {
            Err("invalid digit: must be written without a plus and leading zeros".to_owned())
        }
        _ => text.parse::<i128>().map_err(|error| error.to_string()),
    };
    match kind {
        Scalar::Double => Ok(Raw::Fixed64(parse_real(text)?.to_bits())),
        Scalar::Float => float(parse_real(text)?),
        Scalar::Bool => match text {
            "true" => Ok(Raw::Varint(1)),
            "false" => Ok(Raw::Varint(0)),
            _ => Err("must be true or false".to_owned()),
        },
        Scalar::String | Scalar::Bytes => Err(format!("expected {}", named(kind))),
        Scalar::Uint32 | Scalar::Fixed32 | Scalar::Uint64 | Scalar::Fixed64 => unsigned(kind, whole()?),
        _ => signed(kind, whole()?),
    }
}

/// Bytes from base64, of either alphabet, padded or not.
///
/// # Errors
/// The text isn't base64.
pub fn base64(text: &str) -> Result<Vec<u8>, String> {
    let engine = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    engine.decode(text).map_err(|error| format!("must be base64: {error}"))
}

/// Writes text as the value of a field, or of one item of it; a default is omitted as in proto3, unless `always`.
///
/// # Errors
/// What is wrong with it.
pub fn put_text(schema: &Schema, field: &Field, text: &str, always: bool, out: &mut Vec<u8>) -> Result<(), String> {
    let raw = match &field.kind {
        Kind::Scalar(Scalar::String) => {
            if always || !text.is_empty() {
                wire::put_bytes(out, field.number, text.as_bytes());
            }
            return Ok(());
        }
        Kind::Scalar(Scalar::Bytes) => {
            let bytes = base64(text)?;
            if always || !bytes.is_empty() {
                wire::put_bytes(out, field.number, &bytes);
            }
            return Ok(());
        }
        Kind::Scalar(kind) => self::text(*kind, text)?,
        Kind::Enum(values) => match values.numbers.get(text) {
            Some(number) => varint(i64::from(*number)),
            None => return Err(format!("unrecognized enum value {text:?}")),
        },
        Kind::Message(index) => return put_message(schema, *index, field.number, Value::from(text), out),
    };
    if always || !raw.is_zero() {
        wire::put_raw(out, field.number, raw);
    }
    Ok(())
}

/// Sets the field at a path in a message from text.
///
/// # Errors
/// What is wrong with it.
pub fn put(schema: &Schema, path: &FieldPath, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let mut encoded = Vec::with_capacity(text.len() + 6);
    put_text(schema, schema.at(path), text, false, &mut encoded)?;
    wire::insert(out, path.parents(), &encoded);
    Ok(())
}

/// The number of an enum's value. Unlike in proto3, unknown numbers are refused.
///
/// # Errors
/// The enum doesn't have it.
pub fn declared(values: &Enum, raw: Raw) -> Result<Raw, String> {
    #[expect(clippy::cast_possible_truncation, reason = "made from an i32")]
    let number = raw.bits().cast_signed() as i32;
    if values.names.contains_key(&number) { Ok(raw) } else { Err(format!("unrecognized enum value {number}")) }
}

/// Writes a message with a JSON form of its own.
fn put_message(schema: &Schema, index: usize, number: u32, json: Value, out: &mut Vec<u8>) -> Result<(), String> {
    let descriptor = schema.message(index).descriptor.clone();
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message =
        DynamicMessage::deserialize_with_options(descriptor, json, &options).map_err(|error| error.to_string())?;
    wire::put_bytes(out, number, &prost::Message::encode_to_vec(&message));
    Ok(())
}

/// An integer as a varint: negative ones take ten bytes.
pub fn varint(value: i64) -> Raw {
    Raw::Varint(value.cast_unsigned())
}

/// The name of a type in errors.
pub fn named(kind: Scalar) -> &'static str {
    match kind {
        Scalar::Double | Scalar::Float => "a number",
        Scalar::Bool => "true or false",
        Scalar::String => "a string",
        Scalar::Bytes => "base64 in a string",
        _ => "an integer",
    }
}

fn whole(number: Number) -> Result<i128, String> {
    match number {
        Number::Signed(value) => Ok(value.into()),
        Number::Unsigned(value) => Ok(value.into()),
        Number::Float(value) if value.fract() != 0.0 => Err("expected an integer".to_owned()),
        // Any larger value is outside the range of every type.
        Number::Float(value) if value.abs() >= 1e30 => Err(RANGE.to_owned()),
        #[expect(clippy::cast_possible_truncation, reason = "whole and within range, as just checked")]
        Number::Float(value) => Ok(value as i128),
    }
}

fn real(number: Number) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles")]
    match number {
        Number::Signed(value) => value as f64,
        Number::Unsigned(value) => value as f64,
        Number::Float(value) => value,
    }
}

fn parse_real(text: &str) -> Result<f64, String> {
    match text {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        // Rust also accepts "nan" and "inf", which protobuf's JSON doesn't have.
        _ if text.starts_with(|first: char| first.is_ascii_digit() || first == '-') => {
            text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| "must be a number".to_owned())
        }
        _ => Err("must be a number".to_owned()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked against the range of f32")]
fn float(value: f64) -> Result<Raw, String> {
    if value.is_finite() && value.abs() > f64::from(f32::MAX) {
        return Err(RANGE.to_owned());
    }
    Ok(Raw::Fixed32((value as f32).to_bits()))
}

fn unsigned(kind: Scalar, value: i128) -> Result<Raw, String> {
    match kind {
        Scalar::Uint32 => fit::<u32>(value).map(|value| Raw::Varint(value.into())),
        Scalar::Fixed32 => fit(value).map(Raw::Fixed32),
        Scalar::Fixed64 => fit(value).map(Raw::Fixed64),
        _ => fit(value).map(Raw::Varint),
    }
}

fn signed(kind: Scalar, value: i128) -> Result<Raw, String> {
    match kind {
        Scalar::Int32 => fit::<i32>(value).map(|value| varint(value.into())),
        Scalar::Sint32 => {
            fit::<i32>(value).map(|value| Raw::Varint(u64::from(((value << 1) ^ (value >> 31)).cast_unsigned())))
        }
        Scalar::Sint64 => fit::<i64>(value).map(|value| varint((value << 1) ^ (value >> 63))),
        Scalar::Sfixed32 => fit::<i32>(value).map(|value| Raw::Fixed32(value.cast_unsigned())),
        Scalar::Sfixed64 => fit::<i64>(value).map(|value| Raw::Fixed64(value.cast_unsigned())),
        _ => fit::<i64>(value).map(varint),
    }
}

fn fit<T: TryFrom<i128>>(value: i128) -> Result<T, String> {
    T::try_from(value).map_err(|_| RANGE.to_owned())
}
