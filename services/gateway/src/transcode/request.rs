//! Builds the request message from everything that an HTTP request says: body, then query, path and headers, each
//! written into the encoded message.

use std::borrow::Cow;

use bytes::Bytes;

use super::read::{self, Refusal};
use super::schema::{Field, FieldPath, Kind, Label, Scalar, Schema};
use super::{Violation, query, scalar, wire};
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
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Decoded segments of the path.
    pub segments: &'a [Cow<'a, str>],
    /// What follows the question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: Headers<'a>,
    /// The body, where there was one: JSON text.
    pub body: Option<&'a str>,
}

/// Which fields of a message the headers stand for, and which is the update mask.
#[derive(Debug, Default)]
pub struct Special {
    request_id: Option<FieldPath>,
    resume_token: Option<FieldPath>,
    etag: Option<FieldPath>,
    mask: Option<FieldPath>,
}

impl Special {
    /// Finds them in a message whose HTTP body holds what `body` says.
    pub fn find(schema: &Schema, message: usize, body: &BodyRule) -> Self {
        let text = |path: &str| {
            let found = schema.resolve(message, path)?;
            let field = schema.at(&found);
            let fits = matches!(field.kind, Kind::Scalar(Scalar::String)) && field.label == Label::Singular;
            fits.then_some(found)
        };
        let inner = match body {
            BodyRule::Field(path) => text(&format!("{}.etag", schema.at(path).name)),
            BodyRule::None | BodyRule::Whole => None,
        };
        Self {
            request_id: text("request_id"),
            resume_token: text("resume_token"),
            etag: text("etag").or(inner),
            mask: schema.resolve(message, "update_mask"),
        }
    }

    /// What `Idempotency-Key` stands for.
    pub fn request_id(&self) -> Option<&FieldPath> {
        self.request_id.as_ref()
    }

    /// What `If-Match` stands for.
    pub fn etag(&self) -> Option<&FieldPath> {
        self.etag.as_ref()
    }

    /// What `Last-Event-ID` stands for.
    pub fn resume_token(&self) -> Option<&FieldPath> {
        self.resume_token.as_ref()
    }
}

/// The request message of a binding, encoded.
///
/// # Errors
/// Every field at fault, or why the body is no JSON.
pub fn request(schema: &Schema, binding: &Binding, input: Input<'_>) -> Result<Bytes, Refusal> {
    let message = binding.method.input_index;
    let mut out = Vec::with_capacity(input.body.map_or(0, str::len) + 64);
    let named = body(schema, binding, input.body, &mut out)?;
    query::apply(schema, message, input.query, &mut out).map_err(Refusal::Violations)?;
    for (path, range) in &binding.variables {
        bind(schema, path, &input.segments[range.clone()], &mut out)?;
    }
    let special = &binding.special;
    fill(&mut out, special.request_id.as_ref(), input.headers.idempotency_key);
    fill(&mut out, special.resume_token.as_ref(), input.headers.last_event_id);
    fill(&mut out, special.etag.as_ref(), input.headers.if_match.filter(|tag| *tag != "*"));
    if let Some(mask) = special.mask.as_ref().filter(|_| binding.verb == http::Method::PATCH && input.body.is_some())
        && !wire::has(&out, &mask.numbers)
    {
        put_mask(&mut out, mask, &named);
    }
    Ok(out.into())
}

/// Writes the body where the binding wants it, and says which fields the resource in it named.
fn body<'s>(
    schema: &'s Schema,
    binding: &'s Binding,
    body: Option<&str>,
    out: &mut Vec<u8>,
) -> Result<Vec<&'s Field>, Refusal> {
    match (&binding.body, body) {
        (_, None) => Ok(Vec::new()),
        (BodyRule::None, Some(_)) => Err(Violation::new("", "this method takes no body").into()),
        (BodyRule::Whole, Some(json)) => {
            read::message(schema, binding.method.input_index, json, out).map(|()| Vec::new())
        }
        (BodyRule::Field(path), Some(json)) => read::field(schema, schema.at(path), json, out),
    }
}

/// Binds a field to its part of the path; a body may repeat it but not contradict it.
fn bind(schema: &Schema, path: &FieldPath, segments: &[Cow<'_, str>], out: &mut Vec<u8>) -> Result<(), Violation> {
    let text = match segments {
        [one] => Cow::Borrowed(one.as_ref()),
        many => Cow::Owned(many.join("/")),
    };
    let field = schema.at(path);
    let contradiction = || Violation::new(schema.json_path(path), format!("contradicts the path, which says {text:?}"));
    if let Some(given) = wire::text(out, &path.numbers) {
        return if given == text { Ok(()) } else { Err(contradiction()) };
    }
    if wire::has(out, &path.numbers) {
        return Err(contradiction());
    }
    let mut encoded = Vec::with_capacity(text.len() + 6);
    scalar::put_text(schema, field, &text, false, &mut encoded)
        .map_err(|description| Violation::new(schema.json_path(path), description))?;
    wire::insert(out, path.parents(), &encoded);
    Ok(())
}

/// Sets a text that nothing else has set.
fn fill(out: &mut Vec<u8>, path: Option<&FieldPath>, text: Option<&str>) {
    let (Some(path), Some(text)) = (path, text) else { return };
    if wire::text(out, &path.numbers).is_some() {
        return;
    }
    let (Some(number), false) = (path.numbers.last(), text.is_empty()) else { return };
    let mut encoded = Vec::with_capacity(text.len() + 6);
    wire::put_bytes(&mut encoded, *number, text.as_bytes());
    wire::insert(out, path.parents(), &encoded);
}

/// The update mask of a PATCH that brings none: the fields that its body names. Those that only the server sets are
/// left out, so that what was read can be sent back changed; a field given as `null` is in the mask and becomes empty.
fn put_mask(out: &mut Vec<u8>, mask: &FieldPath, named: &[&Field]) {
    let mut paths: Vec<&str> =
        named.iter().filter(|field| !field.output_only).map(|field| field.name.as_ref()).collect();
    paths.sort_unstable();
    let Some(number) = mask.numbers.last() else { return };
    let start = wire::open(out, *number);
    for path in paths {
        wire::put_bytes(out, 1, path.as_bytes());
    }
    wire::close(out, start);
}

#[cfg(test)]
mod tests;
