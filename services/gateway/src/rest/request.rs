//! Builds the request message from an HTTP request: body, then query, path and headers, each written into the encoded
//! message. A body that contradicts the path, or a header that contradicts its field, is refused.

mod header_fields;

use std::borrow::Cow;

use bytes::Bytes;
use flotilla_transcode::{Field, FieldPath, Refusal, Schema, Violation, query, read, wire};

use crate::routes::{Binding, BodyRule};

pub use header_fields::Headers;

/// The parts of an HTTP request.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Decoded segments of the path.
    pub segments: &'a [Cow<'a, str>],
    /// The query string.
    pub query: &'a str,
    /// The headers.
    pub headers: Headers<'a>,
    /// The body as JSON text, if there is one.
    pub body: Option<&'a str>,
}

/// The request message of a binding, encoded.
///
/// # Errors
/// Every invalid field, or why the body isn't JSON.
pub fn message(schema: &Schema, binding: &Binding, input: Input<'_>) -> Result<Bytes, Refusal> {
    let input_index = binding.method.input_index;
    let mut out = Vec::with_capacity(input.body.map_or(0, str::len) + 64);
    let named = body(schema, binding, input.body, &mut out)?;
    query::apply(schema, input_index, input.query, &mut out).map_err(Refusal::Violations)?;
    for (path, range) in &binding.variables {
        bind(schema, path, &input.segments[range.clone()], &mut out)?;
    }
    let special = &binding.special;
    header_fields::apply(schema, special, input.headers, binding.verb.is_safe(), &mut out)
        .map_err(Refusal::Violations)?;
    if let Some(mask) = special.mask().filter(|_| binding.verb == http::Method::PATCH && input.body.is_some())
        && !wire::has(&out, &mask.numbers)
    {
        put_mask(&mut out, mask, &named);
    }
    Ok(out.into())
}

/// Writes the body to the field that the binding names, and returns which fields the resource in it sets.
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

/// Sets a field from its part of the path; a body may repeat it but not contradict it.
fn bind(schema: &Schema, path: &FieldPath, segments: &[Cow<'_, str>], out: &mut Vec<u8>) -> Result<(), Violation> {
    let text = match segments {
        [one] => Cow::Borrowed(one.as_ref()),
        many => Cow::Owned(many.join("/")),
    };
    let contradiction = || Violation::new(schema.json_path(path), format!("contradicts the path, which says {text:?}"));
    if let Some(given) = wire::text(out, &path.numbers) {
        return if given == text { Ok(()) } else { Err(contradiction()) };
    }
    if wire::has(out, &path.numbers) {
        return Err(contradiction());
    }
    flotilla_transcode::put(schema, path, &text, out)
        .map_err(|description| Violation::new(schema.json_path(path), description))
}

/// The update mask of a PATCH without one: the fields in its body. Output-only fields are omitted, so that a client can
/// modify and send back what it has read; a field given as `null` is in the mask and is cleared.
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
