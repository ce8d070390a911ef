//! Builds the request message from everything that an HTTP request says.

use std::borrow::Cow;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::{Violation, fields, mask, query};
use crate::routes::{Binding, BodyRule};

/// Headers that stand for fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `Idempotency-Key`: the field `request_id`.
    pub idempotency_key: Option<&'a str>,
    /// `If-Match`: the field `etag`, of the message or of the resource in it.
    pub if_match: Option<&'a str>,
    /// `Last-Event-ID`: the field `resume_token`.
    pub last_event_id: Option<&'a str>,
}

/// What an HTTP request says.
#[derive(Debug)]
pub struct Input<'a> {
    /// Decoded segments of the path.
    pub segments: &'a [Cow<'a, str>],
    /// What follows the question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: Headers<'a>,
    /// The body, where there was one.
    pub body: Option<Value>,
}

/// The request message of a binding.
///
/// # Errors
/// Every field at fault.
pub fn request(binding: &Binding, input: Input<'_>) -> Result<DynamicMessage, Vec<Violation>> {
    let message = &binding.method.input;
    let derived_mask = derived_mask(binding, input.body.as_ref());
    let mut root = body(binding, input.body)?;
    query::apply(message, input.query, &mut root)?;
    for (path, range) in &binding.variables {
        bind(&mut root, path, &input.segments[range.clone()]).map_err(|violation| vec![violation])?;
    }
    apply_headers(binding, &input.headers, &mut root).map_err(|violation| vec![violation])?;
    if let Some(derived) = derived_mask
        && let Some(field) = fields::find(message, "update_mask")
        && fields::key_of(&root, &field).is_none()
    {
        root.insert(field.json_name().to_owned(), Value::String(derived));
    }
    read(message, root).map_err(|violation| vec![violation])
}

/// The wire form of a message.
pub fn encode(message: &DynamicMessage) -> Bytes {
    message.encode_to_vec().into()
}

/// Puts the body where the binding wants it, after a look for unknown fields.
fn body(binding: &Binding, body: Option<Value>) -> Result<Map<String, Value>, Vec<Violation>> {
    let mut root = Map::new();
    let message = &binding.method.input;
    match (&binding.body, body) {
        (_, None) => {}
        (BodyRule::None, Some(_)) => return Err(vec![Violation::new("", "this method takes no body")]),
        (BodyRule::Whole, Some(Value::Object(object))) => root = object,
        (BodyRule::Whole, Some(_)) => return Err(vec![Violation::new("", "the body must be a JSON object")]),
        (BodyRule::Field(field), Some(value)) => {
            if fields::singular_message(field).is_some() && !value.is_object() {
                return Err(vec![Violation::new("", "the body must be a JSON object")]);
            }
            root.insert(field.json_name().to_owned(), value);
        }
    }
    let whole = Value::Object(root);
    let mut violations = Vec::new();
    fields::unknown(message, &whole, "", &mut violations);
    match whole {
        Value::Object(root) if violations.is_empty() => Ok(root),
        _ => Err(violations),
    }
}

fn derived_mask(binding: &Binding, body: Option<&Value>) -> Option<String> {
    let BodyRule::Field(field) = &binding.body else { return None };
    if binding.verb != http::Method::PATCH {
        return None;
    }
    let resource = fields::singular_message(field)?;
    Some(mask::derive(&resource, body?.as_object()?))
}

/// Binds a field to its part of the path; a body may repeat it but not contradict it.
fn bind(root: &mut Map<String, Value>, path: &[FieldDescriptor], segments: &[Cow<'_, str>]) -> Result<(), Violation> {
    let text = segments.join("/");
    let place = fields::place(root, path)?;
    match place {
        Value::Null => {}
        Value::String(given) if given.is_empty() || *given == text => {}
        _ => return Err(Violation::new(fields::json_path(path), format!("contradicts the path, which says {text:?}"))),
    }
    *place = Value::String(text);
    Ok(())
}

fn apply_headers(binding: &Binding, headers: &Headers<'_>, root: &mut Map<String, Value>) -> Result<(), Violation> {
    let message = &binding.method.input;
    for (name, value) in [("request_id", headers.idempotency_key), ("resume_token", headers.last_event_id)] {
        if let (Some(value), Some(field)) = (value, text_field(message, name)) {
            fill(root, &[field], value)?;
        }
    }
    let Some(tag) = headers.if_match.filter(|tag| *tag != "*") else { return Ok(()) };
    if let Some(field) = text_field(message, "etag") {
        return fill(root, &[field], tag);
    }
    if let BodyRule::Field(resource) = &binding.body
        && let Some(inner) = fields::singular_message(resource)
        && let Some(field) = text_field(&inner, "etag")
    {
        return fill(root, &[resource.clone(), field], tag);
    }
    Ok(())
}

fn text_field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    fields::find(message, name).filter(|field| matches!(field.kind(), Kind::String) && !field.is_list())
}

/// Sets a field that nothing else has set.
fn fill(root: &mut Map<String, Value>, path: &[FieldDescriptor], text: &str) -> Result<(), Violation> {
    let place = fields::place(root, path)?;
    if place.is_null() || place.as_str() == Some("") {
        *place = Value::String(text.to_owned());
    }
    Ok(())
}

fn read(message: &MessageDescriptor, root: Map<String, Value>) -> Result<DynamicMessage, Violation> {
    let mut track = serde_path_to_error::Track::new();
    let value = Value::Object(root);
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    DynamicMessage::deserialize_with_options(message.clone(), deserializer, &options).map_err(|error| {
        let path = track.path().to_string();
        Violation::new(if path == "." { "" } else { &path }, error.to_string())
    })
}

#[cfg(test)]
mod tests;
