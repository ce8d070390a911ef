//! Scalar values: text, bytes and numbers, and the encoding of numbers on the wire.

use std::io::Write as _;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::Writer;
use crate::RenderError;
use crate::schema::{Field, Kind, Scalar};
use crate::wire::{self, Raw};

impl Writer<'_, '_> {
    pub(super) fn bytes(&mut self, field: &Field, value: &[u8]) -> Result<(), RenderError> {
        if let Kind::Scalar(Scalar::Bytes) = field.kind {
            let _ = write!(self.out, "\"{}\"", Base64Display::new(value, &STANDARD));
            return Ok(());
        }
        let text = std::str::from_utf8(value).map_err(|_| RenderError::NotUtf8)?;
        Ok(serde_json::to_writer(&mut *self.out, text)?)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "the wire's bits have this width")]
    pub(super) fn number(&mut self, field: &Field, bits: u64) -> Result<(), RenderError> {
        let kind = match &field.kind {
            Kind::Enum(values) => {
                return match values.names.get(&(bits as i32)) {
                    Some(name) => Ok(serde_json::to_writer(&mut *self.out, &**name)?),
                    None => Ok(serde_json::to_writer(&mut *self.out, &(bits as i32))?),
                };
            }
            Kind::Scalar(kind) => *kind,
            Kind::Message(_) => return Err(wire::broken().into()),
        };
        let zigzag = |bits: u64| ((bits >> 1) as i64) ^ -((bits & 1) as i64);
        match kind {
            Scalar::Double => self.real(f64::from_bits(bits)),
            Scalar::Float => self.float(f32::from_bits(bits as u32)),
            Scalar::Bool => {
                self.out.extend_from_slice(if bits == 0 { b"false" } else { b"true" });
                Ok(())
            }
            Scalar::Int32 | Scalar::Sfixed32 => self.plain(i64::from(bits as i32)),
            Scalar::Sint32 => self.plain(zigzag(bits)),
            Scalar::Uint32 | Scalar::Fixed32 => self.plain(i64::from(bits as u32)),
            Scalar::Int64 | Scalar::Sfixed64 => self.quoted(i128::from(bits as i64)),
            Scalar::Sint64 => self.quoted(i128::from(zigzag(bits))),
            Scalar::Uint64 | Scalar::Fixed64 => self.quoted(i128::from(bits)),
            Scalar::String | Scalar::Bytes => Err(wire::broken().into()),
        }
    }

    pub(super) fn plain(&mut self, value: i64) -> Result<(), RenderError> {
        Ok(serde_json::to_writer(&mut *self.out, &value)?)
    }

    /// 64-bit integers are strings in JSON, because its numbers can't hold them.
    pub(super) fn quoted(&mut self, value: i128) -> Result<(), RenderError> {
        self.out.push(b'"');
        serde_json::to_writer(&mut *self.out, &value)?;
        self.out.push(b'"');
        Ok(())
    }

    pub(super) fn real(&mut self, value: f64) -> Result<(), RenderError> {
        match odd(value) {
            Some(name) => self.out.extend_from_slice(name),
            None => serde_json::to_writer(&mut *self.out, &value)?,
        }
        Ok(())
    }

    pub(super) fn float(&mut self, value: f32) -> Result<(), RenderError> {
        match odd(f64::from(value)) {
            Some(name) => self.out.extend_from_slice(name),
            None => serde_json::to_writer(&mut *self.out, &value)?,
        }
        Ok(())
    }
}

/// Values that JSON numbers can't represent.
pub(super) fn odd(value: f64) -> Option<&'static [u8]> {
    if value.is_nan() {
        return Some(b"\"NaN\"");
    }
    value.is_infinite().then_some(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" })
}

pub(super) fn is_wide(field: &Field) -> bool {
    use Scalar::{Fixed64, Int64, Sfixed64, Sint64, Uint64};
    matches!(field.kind, Kind::Scalar(Int64 | Uint64 | Sint64 | Fixed64 | Sfixed64))
}

/// The bits of a number, if it has the wire type of its field.
pub(super) fn check(field: &Field, raw: Raw) -> Result<u64, RenderError> {
    let fits = matches!(
        (width(field), raw),
        (Some(4), Raw::Fixed32(_)) | (Some(8), Raw::Fixed64(_)) | (Some(0), Raw::Varint(_))
    );
    if fits { Ok(raw.bits()) } else { Err(wire::broken().into()) }
}

/// The size of a fixed-width number in bytes, 0 for varints, `None` for other types.
pub(super) fn width(field: &Field) -> Option<usize> {
    match &field.kind {
        Kind::Scalar(Scalar::String | Scalar::Bytes) | Kind::Message(_) => None,
        Kind::Scalar(Scalar::Float | Scalar::Fixed32 | Scalar::Sfixed32) => Some(4),
        Kind::Scalar(Scalar::Double | Scalar::Fixed64 | Scalar::Sfixed64) => Some(8),
        Kind::Scalar(_) | Kind::Enum(_) => Some(0),
    }
}

pub(super) fn unpack(field: &Field, packed: &mut &[u8]) -> Result<u64, RenderError> {
    let mut fixed = |length: usize| {
        let (value, rest) = packed.split_at_checked(length).ok_or_else(wire::broken)?;
        *packed = rest;
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(value);
        Ok(u64::from_le_bytes(bytes))
    };
    match width(field) {
        Some(0) => Ok(prost::encoding::decode_varint(packed)?),
        Some(length) => fixed(length),
        None => Err(wire::broken().into()),
    }
}
