//! Headers that stand for fields, and the rule that applies if both are given.
//!
//! Equal values are accepted. In an event stream `Last-Event-ID` replaces the field: a browser's `EventSource`
//! reconnects to its original URL and sends its position in the header. Any other difference is refused with a
//! violation that names the field and the header; nothing is dropped silently.

use flotilla_transcode::{FieldPath, Schema, Violation, wire};

use crate::routes::Special;

/// Headers that stand for fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `Idempotency-Key`: the field `request_id`.
    pub idempotency_key: Option<&'a str>,
    /// `If-Match`: the field `etag`, of the message or of the resource in it.
    pub if_match: Option<&'a str>,
    /// `Last-Event-ID`: the field `resume_token`.
    pub last_event_id: Option<&'a str>,
    /// Whether the response is an event stream, in which `Last-Event-ID` replaces the field.
    pub event_stream: bool,
}

/// How a header and its field may relate if both are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// They must be equal.
    Equal,
    /// They must be equal, ignoring quotes; the header may list several tags, one of which must be the field's.
    Tag,
    /// The header replaces the field.
    HeaderWins,
}

/// Copies the headers into the message. `safe` says that the method only reads.
///
/// # Errors
/// Every header that contradicts its field or can't be applied.
pub fn apply(
    schema: &Schema,
    special: &Special,
    headers: Headers<'_>,
    safe: bool,
    out: &mut Vec<u8>,
) -> Result<(), Vec<Violation>> {
    let resume = if headers.event_stream { Rule::HeaderWins } else { Rule::Equal };
    // `*` matches any present version, so the field decides.
    let tag = headers.if_match.filter(|tag| *tag != "*");
    let pairs = [
        ("Idempotency-Key", headers.idempotency_key, special.request_id(), Rule::Equal),
        ("If-Match", tag, special.etag(), Rule::Tag),
        ("Last-Event-ID", headers.last_event_id, special.resume_token(), resume),
    ];
    let mut violations = Vec::new();
    for (header, text, path, rule) in pairs {
        let Some(text) = text else { continue };
        if text.trim().is_empty() {
            // An empty condition is a mistake and must not count as no condition.
            if rule == Rule::Tag && !safe {
                violations.push(Violation::new("", format!("{header} is empty: send a tag, or *")));
            }
            continue;
        }
        let outcome = match path {
            Some(path) => put(schema, path, header, text, rule, out),
            // Without an etag field the condition can't be checked, and the change must not be made unchecked.
            None if rule == Rule::Tag && !safe => {
                Err(Violation::new("", format!("{header} can't be honoured: this method takes no etag")))
            }
            None => Ok(()),
        };
        violations.extend(outcome.err());
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

fn put(
    schema: &Schema,
    path: &FieldPath,
    header: &str,
    text: &str,
    rule: Rule,
    out: &mut Vec<u8>,
) -> Result<(), Violation> {
    let violation = |what: String| Violation::new(schema.json_path(path), what);
    if let Some(given) = wire::text(out, &path.numbers) {
        if agrees(rule, given, text) {
            return Ok(());
        }
        if rule != Rule::HeaderWins {
            return Err(violation(format!("contradicts the header {header}, which says {text:?}")));
        }
        wire::remove(out, &path.numbers);
    } else if rule == Rule::Tag && tags(text).count() > 1 {
        return Err(violation(format!("the header {header} lists several tags; send one")));
    }
    let Some(number) = path.numbers.last() else { return Ok(()) };
    let mut encoded = Vec::with_capacity(text.len() + 6);
    wire::put_bytes(&mut encoded, *number, text.as_bytes());
    wire::insert(out, path.parents(), &encoded);
    Ok(())
}

fn agrees(rule: Rule, field: &str, header: &str) -> bool {
    match rule {
        Rule::Equal | Rule::HeaderWins => field == header,
        Rule::Tag => tags(header).any(|tag| tag == bare(field)),
    }
}

/// The tags of a list. The fleet's own tags contain no comma.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(bare).filter(|tag| !tag.is_empty())
}

fn bare(tag: &str) -> &str {
    tag.trim().trim_matches('"')
}
