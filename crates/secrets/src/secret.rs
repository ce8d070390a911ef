//! A secret as a store returns it, and the selection of a part of it.

#![cfg_attr(
    not(any(feature = "vault", feature = "aws", feature = "kubernetes")),
    allow(dead_code, reason = "only stores create secrets")
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use flotilla_config::{ExposeSecret, ResolveError, SecretString};

use crate::metrics::Outcome;
use crate::reference::{Part, Reference, Selector};

/// Fields by name; `None` for one that isn't text.
pub(crate) type Fields = BTreeMap<String, Option<SecretString>>;

/// The content of a path.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Plain text.
    #[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "only some stores have plain text"))]
    Text(SecretString),
    /// Named fields.
    Fields(Fields),
}

/// A secret read from a store.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub content: Content,
    /// When to read it again.
    pub refresh_in: Option<Duration>,
    pub outcome: Outcome,
}

impl Content {
    /// The part that the reference selects.
    pub fn take(&self, reference: &Reference) -> Result<SecretString, ResolveError> {
        match (self, reference.selector()) {
            (Self::Text(text), Selector::Whole) => Ok(text.clone()),
            (Self::Text(_), _) => Err(ResolveError::permanent("the secret is plain text without fields")),
            (Self::Fields(fields), Selector::Whole) => match fields.len() {
                1 => fields.keys().next().map_or_else(|| Err(absent("", fields)), |only| field(fields, only)),
                _ => Err(ResolveError::permanent(format!(
                    "the secret has several fields; name one after `#`: {}",
                    names(fields)
                ))),
            },
            (Self::Fields(fields), Selector::Field(name)) => field(fields, name),
            (Self::Fields(fields), Selector::Template(parts)) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(plain) => text.push_str(plain),
                        Part::Field(name) => encode(field(fields, name)?.expose_secret(), &mut text),
                    }
                }
                Ok(text.into())
            }
        }
    }
}

fn field(fields: &Fields, name: &str) -> Result<SecretString, ResolveError> {
    match fields.get(name) {
        Some(Some(text)) => Ok(text.clone()),
        Some(None) => Err(ResolveError::permanent(format!("the secret's field {name} is not text"))),
        None => Err(absent(name, fields)),
    }
}

fn absent(name: &str, fields: &Fields) -> ResolveError {
    ResolveError::permanent(format!("the secret has no field {name:?}; it has {}", names(fields)))
}

fn names(fields: &Fields) -> String {
    if fields.is_empty() {
        return "no fields".to_owned();
    }
    fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Percent-encodes all characters that could have a meaning in a URL.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing to a string can't fail.
            other => drop(write!(out, "%{other:02X}")),
        }
    }
}

/// The fields of a JSON object; numbers and booleans as text.
#[cfg(any(feature = "vault", feature = "aws"))]
pub(crate) fn fields_of(object: serde_json::Map<String, serde_json::Value>) -> Fields {
    use serde_json::Value;
    let text = |value| match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(truth) => Some(truth.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    object.into_iter().map(|(name, value)| (name, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        let text = |text: &str| Some(SecretString::from(text.to_owned()));
        Content::Fields(BTreeMap::from([
            ("user".to_owned(), text("v-orders")),
            ("password".to_owned(), text("p@ss/w:rd")),
            ("nested".to_owned(), None),
        ]))
    }

    fn take(content: &Content, reference: &str) -> Result<String, String> {
        let reference = Reference::parse("vault", reference).unwrap();
        content.take(&reference).map(|text| text.expose_secret().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_field_is_returned_unchanged_and_a_template_encodes_it() {
        assert_eq!(take(&content(), "vault://a#password").unwrap(), "p@ss/w:rd");
        assert_eq!(
            take(&content(), "vault://a#postgres://{user}:{password}@db/orders?a=b").unwrap(),
            "postgres://v-orders:p%40ss%2Fw%3Ard@db/orders?a=b"
        );
        let bare = Content::Text("bare".to_owned().into());
        assert_eq!(take(&bare, "vault://a").unwrap(), "bare");
    }

    #[test]
    fn errors_name_fields_and_no_values() {
        for (reference, expected) in [
            ("vault://a#pasword", "no field \"pasword\"; it has nested, password, user"),
            ("vault://a#x{pasword}", "no field \"pasword\""),
            ("vault://a#nested", "nested is not text"),
            ("vault://a", "nested, password, user"),
        ] {
            let error = take(&content(), reference).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("p@ss"), "{error}");
        }
        assert!(!format!("{:?}", content()).contains("p@ss"));
        assert!(take(&Content::Text("bare".to_owned().into()), "vault://a#b").is_err());
    }
}
