//! Converts JSON directly to the wire format, without a tree of values or a dynamic message.

mod value;

use std::fmt;

use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::Violation;
use crate::schema::{Field, Form, Label, Message, Schema};
use value::Value;

/// Maximum number of unknown fields reported in one error.
const MAX_VIOLATIONS: usize = 20;

/// Why JSON can't be converted to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not JSON.
    Malformed(String),
    /// Invalid fields.
    Violations(Vec<Violation>),
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::Violations(vec![violation])
    }
}

/// Converts the JSON of a message and appends it to `out`.
///
/// # Errors
/// What is wrong with it.
pub fn message(schema: &Schema, index: usize, json: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut state = State::new(schema, out);
    let message = schema.message(index);
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = match message.form {
        Form::Object => Fields { state: &mut state, message }.deserialize(&mut deserializer),
        Form::Timestamp | Form::WellKnown => well_known(message, &mut deserializer).map(|bytes| {
            state.out.extend_from_slice(&bytes);
        }),
    };
    state.end(read.and_then(|()| deserializer.end()))
}

/// Converts the JSON of one field and appends it to `out` with its key; returns which fields of the message in it were
/// set.
///
/// # Errors
/// What is wrong with it.
pub fn field<'s>(
    schema: &'s Schema,
    field: &'s Field,
    json: &str,
    out: &mut Vec<u8>,
) -> Result<Vec<&'s Field>, Refusal> {
    let mut state = State::new(schema, out);
    state.path.push(Step::Name(&field.json));
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = Value { state: &mut state, field, item: field.label == Label::Singular }.deserialize(&mut deserializer);
    let named = std::mem::take(&mut state.named);
    state.end(read.and_then(|_| deserializer.end()))?;
    Ok(named)
}

/// The state of a conversion.
struct State<'s, 'o> {
    schema: &'s Schema,
    out: &'o mut Vec<u8>,
    /// The current position; after an error, the position of the error.
    path: Vec<Step<'s>>,
    /// A stack of flags for the fields and oneofs of each open message.
    seen: Vec<bool>,
    /// Fields of the outermost message that were set.
    named: Vec<&'s Field>,
    depth: usize,
    violations: Vec<Violation>,
}

enum Step<'s> {
    Name(&'s str),
    Index(usize),
    Key(String),
}

impl<'s, 'o> State<'s, 'o> {
    fn new(schema: &'s Schema, out: &'o mut Vec<u8>) -> Self {
        let (path, seen, named) = (Vec::with_capacity(8), Vec::with_capacity(32), Vec::new());
        Self { schema, out, path, seen, named, depth: 0, violations: Vec::new() }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Name(name) => dotted(&mut path, name),
                Step::Key(key) => dotted(&mut path, key),
            }
        }
        path
    }

    fn violation(&mut self, name: Option<&str>, description: &str) {
        if self.violations.len() < MAX_VIOLATIONS {
            let mut path = self.path();
            if let Some(name) = name {
                dotted(&mut path, name);
            }
            self.violations.push(Violation::new(path, description));
        }
    }

    fn end(mut self, read: serde_json::Result<()>) -> Result<(), Refusal> {
        match read {
            Ok(()) if self.violations.is_empty() => Ok(()),
            Ok(()) => Err(Refusal::Violations(self.violations)),
            Err(error) if error.is_data() => {
                let told = error.to_string();
                let description = told.rsplit_once(" at line ").map_or(told.as_str(), |(description, _)| description);
                let at = self.path();
                self.violations.push(Violation::new(at, description));
                Err(Refusal::Violations(self.violations))
            }
            Err(error) => Err(Refusal::Malformed(error.to_string())),
        }
    }
}

fn dotted(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// Encodes a message of a type with its own JSON form.
fn well_known<'de, D: Deserializer<'de>>(message: &Message, deserializer: D) -> Result<Vec<u8>, D::Error> {
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let read = DynamicMessage::deserialize_with_options(message.descriptor.clone(), deserializer, &options)?;
    Ok(read.encode_to_vec())
}

/// Converts the fields of an object to those of a message.
struct Fields<'a, 's, 'o> {
    state: &'a mut State<'s, 'o>,
    message: &'s Message,
}

impl<'de> DeserializeSeed<'de> for Fields<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { state, message } = self;
        let base = state.seen.len();
        let oneofs = base + message.fields.len();
        state.seen.resize(oneofs + message.oneofs, false);
        state.depth += 1;
        while let Some(key) = map.next_key_seed(Name(message))? {
            let (field, spelled) = match key {
                Ok(index) => (&message.fields[index.0], index),
                Err(unknown) => {
                    state.violation(Some(&unknown), "unknown field");
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            state.path.push(Step::Name(if spelled.1 { &field.json } else { &field.name }));
            if std::mem::replace(&mut state.seen[base + spelled.0], true) {
                state.violation(None, "given twice");
                map.next_value::<IgnoredAny>()?;
            } else {
                if state.depth == 1 {
                    state.named.push(field);
                }
                let set = map.next_value_seed(Value { state: &mut *state, field, item: false })?;
                let taken = field.oneof.is_some_and(|at| set && std::mem::replace(&mut state.seen[oneofs + at], true));
                if taken {
                    state.violation(None, "only one of its kind may be given");
                }
            }
            state.path.pop();
        }
        state.depth -= 1;
        state.seen.truncate(base);
        Ok(())
    }
}

/// The index of the field that a key names, and whether by its JSON name; otherwise the unknown name.
struct Name<'s>(&'s Message);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Result<(usize, bool), String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Result<(usize, bool), String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let found = self.0.named(name).map(|index| (index, &*self.0.fields[index].json == name));
        Ok(found.ok_or_else(|| name.to_owned()))
    }
}

#[cfg(test)]
mod tests;
