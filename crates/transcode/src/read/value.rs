//! The values of fields.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::{Fields, State, Step, well_known};
use crate::scalar::{self, Number};
use crate::schema::{Field, Form, Kind, Label, Message, Scalar};
use crate::wire;

/// The value of a field; or one item of it, which can't be null and is written even if it is the default. Returns
/// whether there was a value.
pub(super) struct Value<'a, 's, 'o> {
    pub(super) state: &'a mut State<'s, 'o>,
    pub(super) field: &'s Field,
    pub(super) item: bool,
}

impl<'s> Value<'_, 's, '_> {
    fn message(&self) -> Option<&'s Message> {
        match self.field.kind {
            Kind::Message(index) if self.item || self.field.label == Label::Singular => {
                Some(self.state.schema.message(index))
            }
            _ => None,
        }
    }

    fn is_single(&self) -> bool {
        self.item || self.field.label == Label::Singular
    }

    fn number<E: Error>(self, number: Number) -> Result<bool, E> {
        let raw = match &self.field.kind {
            Kind::Scalar(kind @ (Scalar::String | Scalar::Bytes | Scalar::Bool)) => {
                Err(format!("invalid type: number, expected {}", scalar::named(*kind)))
            }
            Kind::Scalar(kind) if self.is_single() => scalar::number(*kind, number),
            Kind::Enum(values) if self.is_single() => {
                scalar::number(Scalar::Int32, number).and_then(|raw| scalar::declared(values, raw))
            }
            _ => return Err(E::invalid_type(Unexpected::Other("number"), &self)),
        };
        let raw = raw.map_err(E::custom)?;
        if self.item || self.field.presence || !raw.is_zero() {
            wire::put_raw(self.state.out, self.field.number, raw);
        }
        Ok(true)
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        match self.message() {
            Some(message) if message.form != Form::Object => {
                // Null means unset, except for `Value`, where it is a value.
                if self.item || message.descriptor.full_name() == "google.protobuf.Value" {
                    let bytes = well_known(message, deserializer)?;
                    wire::put_bytes(self.state.out, self.field.number, &bytes);
                    return Ok(true);
                }
                deserializer.deserialize_option(Optional(self, message))
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

/// A well-known message or null.
struct Optional<'a, 's, 'o>(Value<'a, 's, 'o>, &'s Message);

impl<'de> Visitor<'de> for Optional<'_, '_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1.descriptor.name())
    }

    fn visit_none<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let bytes = well_known(self.1, deserializer)?;
        wire::put_bytes(self.0.state.out, self.0.field.number, &bytes);
        Ok(true)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (&self.field.kind, self.field.label) {
            (_, Label::Repeated) if !self.item => "a list",
            (_, Label::Map) if !self.item => "a JSON object",
            (Kind::Message(_), _) => "a JSON object",
            (Kind::Enum(_), _) => "one of the enum's names",
            (Kind::Scalar(kind), _) => scalar::named(*kind),
        })
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        if self.item { Err(E::invalid_type(Unexpected::Unit, &self)) } else { Ok(false) }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        if !matches!(self.field.kind, Kind::Scalar(Scalar::Bool)) || !self.is_single() {
            return Err(E::invalid_type(Unexpected::Bool(value), &self));
        }
        if value || self.item || self.field.presence {
            wire::put_raw(self.state.out, self.field.number, wire::Raw::Varint(value.into()));
        }
        Ok(true)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.number(Number::Signed(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.number(Number::Unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        self.number(Number::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
        let text = matches!(&self.field.kind, Kind::Scalar(kind) if *kind != Scalar::Bool);
        if !self.is_single() || !(text || matches!(self.field.kind, Kind::Enum(_))) {
            return Err(E::invalid_type(Unexpected::Str(value), &self));
        }
        let always = self.item || self.field.presence;
        scalar::put_text(self.state.schema, self.field, value, always, self.state.out).map_err(E::custom)?;
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        if let Some(message) = self.message() {
            let start = wire::open(self.state.out, self.field.number);
            Fields { state: &mut *self.state, message }.visit_map(map)?;
            wire::close(self.state.out, start);
            return Ok(true);
        }
        let (Label::Map, Kind::Message(entry)) = (self.field.label, &self.field.kind) else {
            return Err(Error::invalid_type(Unexpected::Map, &self));
        };
        let Self { state, field, .. } = self;
        let [key, value] = state.schema.message(*entry).fields.as_slice() else {
            return Err(Error::custom("no map"));
        };
        while let Some(text) = map.next_key::<String>()? {
            let start = wire::open(state.out, field.number);
            scalar::put_text(state.schema, key, &text, true, state.out).map_err(Error::custom)?;
            state.path.push(Step::Key(text));
            // Deeper than any object of the contract: the names aren't fields.
            map.next_value_seed(Value { state: &mut *state, field: value, item: true })?;
            state.path.pop();
            wire::close(state.out, start);
        }
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        if self.item || self.field.label != Label::Repeated {
            return Err(Error::invalid_type(Unexpected::Seq, &self));
        }
        let Self { state, field, .. } = self;
        let mut index = 0;
        state.path.push(Step::Index(index));
        // Numbers are written unpacked, each with its key: every decoder accepts both forms.
        while items.next_element_seed(Value { state: &mut *state, field, item: true })?.is_some() {
            index += 1;
            state.path.pop();
            state.path.push(Step::Index(index));
        }
        state.path.pop();
        Ok(true)
    }
}
