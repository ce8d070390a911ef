//! Messages as JSON Schema (2020-12, which OpenAPI 3.1 speaks).
//!
//! Requests and responses have separate schemas: requests are strict and may omit fields; responses have every field,
//! and later versions may add more.

use std::collections::BTreeMap;

use flotilla_transcode::behavior::{IDENTIFIER, INPUT_ONLY, OUTPUT_ONLY, behaves};
use flotilla_validate::rules::FieldRules;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{example, rules};
use crate::routes::comment;

/// The direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To the service.
    Input,
    /// To the service, with only the fields to change.
    Patch,
    /// To the client.
    Output,
}

/// The schemas so far, by name.
#[derive(Debug, Default)]
pub struct Schemas {
    components: BTreeMap<String, Value>,
    /// The message that each name stands for.
    owners: BTreeMap<String, String>,
}

impl Schemas {
    /// All schemas.
    pub fn into_components(self) -> Map<String, Value> {
        self.components.into_iter().collect()
    }

    /// Adds a hand-written schema.
    pub fn insert(&mut self, name: &str, schema: Value) {
        self.components.insert(name.to_owned(), schema);
    }

    /// A reference to a message's schema.
    pub fn message(&mut self, message: &MessageDescriptor, side: Side) -> Value {
        self.without(message, side, &[])
    }

    /// The same without some fields: those of a request that come from path and headers.
    pub fn without(&mut self, message: &MessageDescriptor, side: Side, hidden: &[u32]) -> Value {
        if let Some(schema) = well_known(message) {
            return schema;
        }
        let suffix = match side {
            Side::Input if message.name().ends_with("Request") => "",
            Side::Input => "Input",
            Side::Patch => "Patch",
            Side::Output => "",
        };
        let mut name = format!("{}{suffix}", message.name());
        let owner = format!("{} {hidden:?}", message.full_name());
        if self.owners.get(&name).is_some_and(|taken| *taken != owner) {
            name = format!("{}{suffix}", message.full_name());
        }
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        if self.owners.insert(name.clone(), owner).is_none() {
            let schema = self.object(message, side, hidden);
            self.components.insert(name, schema);
        }
        reference
    }

    fn object(&mut self, message: &MessageDescriptor, side: Side, hidden: &[u32]) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in message.fields().filter(|field| !hidden.contains(&field.number())) {
            let server_only = behaves(&field, OUTPUT_ONLY) || behaves(&field, IDENTIFIER);
            let skipped = if side == Side::Output { behaves(&field, INPUT_ONLY) } else { server_only };
            if skipped {
                continue;
            }
            let needed = match side {
                Side::Input => rules::is_required(&field),
                Side::Patch => false,
                // Fields are written even if empty, except those that can be absent.
                Side::Output => !field.supports_presence(),
            };
            if needed {
                required.push(Value::from(field.json_name()));
            }
            let mut schema = self.property(&field, side);
            if let Value::Object(object) = &mut schema {
                if side == Side::Output && server_only {
                    object.insert("readOnly".to_owned(), true.into());
                }
                if side != Side::Output && behaves(&field, INPUT_ONLY) {
                    object.insert("writeOnly".to_owned(), true.into());
                }
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        let mut schema = Map::from_iter([("type".to_owned(), Value::from("object"))]);
        let description = comment(&message.parent_file(), message.path());
        if !description.is_empty() {
            schema.insert("description".to_owned(), description.into());
        }
        schema.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        if side != Side::Output {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        Value::Object(schema)
    }

    /// The schema of a field, with its comment.
    fn property(&mut self, field: &FieldDescriptor, side: Side) -> Value {
        let found = rules::of(field);
        let inner = if side == Side::Patch { Side::Input } else { side };
        let required = side != Side::Output && rules::is_required(field);
        let mut schema = if field.is_map() {
            let value = match field.kind() {
                Kind::Message(entry) => {
                    self.value(&entry.map_entry_value_field(), &FieldRules::default(), inner, false)
                }
                _ => json!({}),
            };
            json!({"type": "object", "additionalProperties": value})
        } else if field.is_list() {
            let items = self.value(field, &rules::items(&found), inner, false);
            let mut list = Map::from_iter([("type".to_owned(), Value::from("array")), ("items".to_owned(), items)]);
            if side != Side::Output {
                rules::counts(&found, &mut list);
                if required {
                    list.entry("minItems").or_insert(1.into());
                }
            }
            Value::Object(list)
        } else {
            self.value(field, &found, inner, required)
        };
        if side != Side::Output && !required {
            schema = nullable(schema);
        }
        describe(&mut schema, &comment(&field.parent_file(), field.path()));
        schema
    }

    /// The schema of a field in a query, where everything is text and nothing is null.
    pub fn parameter(&mut self, field: &FieldDescriptor) -> Value {
        let found = rules::of(field);
        let (found, list) = if field.is_list() { (rules::items(&found), Some(found)) } else { (found, None) };
        let required = rules::is_required(field);
        let schema = match field.kind() {
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => rules::integer(&found, "int32", false),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => rules::integer(&found, "int64", false),
            Kind::Enum(values) => json!({"type": "string", "enum": rules::names(&values, &found, false)}),
            _ => self.value(field, &found, Side::Input, required && list.is_none()),
        };
        let Some(counts) = list else { return schema };
        let mut list = Map::from_iter([("type".to_owned(), Value::from("array")), ("items".to_owned(), schema)]);
        rules::counts(&counts, &mut list);
        Value::Object(list)
    }

    /// The schema of a field's value.
    fn value(&mut self, field: &FieldDescriptor, found: &FieldRules, side: Side, required: bool) -> Value {
        let output = side == Side::Output;
        let free = FieldRules::default();
        let found = if output { &free } else { found };
        let mut schema = match field.kind() {
            Kind::Message(message) => {
                return self.money(&message, side).unwrap_or_else(|| self.message(&message, side));
            }
            Kind::Enum(values) if output => json!({"type": "string", "enum": rules::names(&values, found, false)}),
            Kind::Enum(values) => json!({"type": ["string", "integer"], "enum": rules::names(&values, found, true)}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => rules::text(found, required),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Double | Kind::Float => json!({"type": ["number", "string"]}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => rules::integer(found, "int32", !output),
            Kind::Uint32 | Kind::Fixed32 if output => json!({"type": "integer", "minimum": 0}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 if !output => {
                let mut schema = rules::integer(found, "int64", true);
                if required && rules::bounds(found) == (None, None) {
                    // Zero means not set.
                    schema["pattern"] = rules::NOT_ZERO.into();
                    schema["not"] = json!({"const": 0});
                }
                schema
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"})
            }
            Kind::Uint32 | Kind::Fixed32 => json!({"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+$"}),
            Kind::Uint64 | Kind::Fixed64 => {
                json!({"type": ["string", "integer"], "minimum": 0, "pattern": "^[0-9]+$"})
            }
        };
        if let Some(example) = example::of(field, &schema) {
            schema["examples"] = json!([example]);
        }
        schema
    }

    /// Money in requests: no fractions of the minor unit, and not negative.
    fn money(&mut self, message: &MessageDescriptor, side: Side) -> Option<Value> {
        if message.full_name() != "google.type.Money" || side == Side::Output {
            return None;
        }
        let name = "MoneyInput";
        if self.owners.insert(name.to_owned(), message.full_name().to_owned()).is_none() {
            self.components.insert(name.to_owned(), example::money());
        }
        Some(json!({"$ref": format!("#/components/schemas/{name}")}))
    }
}

/// The same schema with null allowed, which stands for "not given".
fn nullable(mut schema: Value) -> Value {
    let Value::Object(object) = &mut schema else { return schema };
    if object.contains_key("$ref") {
        return json!({"anyOf": [schema, {"type": "null"}]});
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.push(Value::Null);
    }
    match object.get_mut("type") {
        Some(Value::Array(types)) => types.push("null".into()),
        Some(single) => *single = json!([single.take(), "null"]),
        None => {}
    }
    schema
}

fn describe(schema: &mut Value, text: &str) {
    if let (Value::Object(object), false) = (schema, text.is_empty()) {
        // In 3.1 a reference may have sibling keywords.
        object.insert("description".to_owned(), text.into());
    }
}

/// The schema of a type whose JSON isn't an object of its fields.
fn well_known(message: &MessageDescriptor) -> Option<Value> {
    Some(match message.full_name() {
        "google.protobuf.Timestamp" => {
            json!({"type": "string", "format": "date-time", "examples": ["2026-11-22T09:30:00Z"]})
        }
        "google.protobuf.Duration" => {
            json!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$", "examples": ["1.500s"]})
        }
        "google.protobuf.FieldMask" => json!({"type": "string", "examples": ["displayName"]}),
        "google.protobuf.Empty" => json!({"type": "object"}),
        "google.protobuf.Struct" => json!({"type": "object"}),
        "google.protobuf.ListValue" => json!({"type": "array"}),
        "google.protobuf.Value" => json!({}),
        "google.protobuf.Any" => json!({"type": "object", "properties": {"@type": {"type": "string"}}}),
        "google.protobuf.StringValue" | "google.protobuf.BytesValue" => json!({"type": ["string", "null"]}),
        "google.protobuf.BoolValue" => json!({"type": ["boolean", "null"]}),
        name if name.starts_with("google.protobuf.") && name.ends_with("Value") => {
            json!({"type": ["number", "string", "null"]})
        }
        _ => return None,
    })
}
