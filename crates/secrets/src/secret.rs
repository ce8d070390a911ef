//! A secret as a store gives it, and how the wanted part is taken out of it.

#![cfg_attr(
    not(any(feature = "vault", feature = "aws", feature = "kubernetes")),
    allow(dead_code, reason = "stores alone make secrets")
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use flotilla_config::{ExposeSecret, ResolveError, SecretString};

use crate::metrics::Outcome;
use crate::reference::{Part, Reference, Wanted};

/// Fields by name; nothing for one that isn't a text.
pub(crate) type Fields = BTreeMap<String, Option<SecretString>>;

/// The content of a path.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// One text.
    #[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "only some stores keep bare texts"))]
    Text(SecretString),
    /// Texts with names.
    Fields(Fields),
}

/// What a store answers.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub content: Content,
    /// When to ask again.
    pub refresh_in: Option<Duration>,
    pub outcome: Outcome,
}

impl Content {
    /// The wanted part.
    pub fn take(&self, reference: &Reference) -> Result<SecretString, ResolveError> {
        match (self, reference.wanted()) {
            (Self::Text(text), Wanted::Whole) => Ok(text.clone()),
            (Self::Text(_), _) => Err(ResolveError::permanent("the secret is plain text without fields")),
            (Self::Fields(fields), Wanted::Whole) => match fields.len() {
                1 => fields.keys().next().map_or_else(|| Err(absent("", fields)), |only| field(fields, only)),
                _ => Err(ResolveError::permanent(format!("name one of its fields behind `#`: {}", names(fields)))),
            },
            (Self::Fields(fields), Wanted::Field(name)) => field(fields, name),
            (Self::Fields(fields), Wanted::Template(parts)) => {
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
        Some(None) => Err(ResolveError::permanent(format!("the secret's field {name} is not a text"))),
        None => Err(absent(name, fields)),
    }
}

fn absent(name: &str, fields: &Fields) -> ResolveError {
    ResolveError::permanent(format!("the secret has no field {name:?}, but {}", names(fields)))
}

fn names(fields: &Fields) -> String {
    if fields.is_empty() {
        return "none at all".to_owned();
    }
    fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Percent-encodes everything that could mean something in an address.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing to a string can't fail.
            other => drop(write!(out, "%{other:02X}")),
        }
    }
}

/// The fields of a JSON object; numbers and truth values as their text.
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
    fn a_field_is_taken_as_it_is_and_a_template_encodes_it() {
        assert_eq!(take(&content(), "vault://a#password").unwrap(), "p@ss/w:rd");
        assert_eq!(
            take(&content(), "vault://a#postgres://{user}:{password}@db/orders?a=b").unwrap(),
            "postgres://v-orders:p%40ss%2Fw%3Ard@db/orders?a=b"
        );
        let bare = Content::Text("bare".to_owned().into());
        assert_eq!(take(&bare, "vault://a").unwrap(), "bare");
    }

    #[test]
    fn what_isnt_there_is_told_by_name_and_no_value_is() {
        for (reference, told) in [
            ("vault://a#pasword", "no field \"pasword\", but nested, password, user"),
            ("vault://a#x{pasword}", "no field \"pasword\""),
            ("vault://a#nested", "nested is not a text"),
            ("vault://a", "nested, password, user"),
        ] {
            let error = take(&content(), reference).unwrap_err();
            assert!(error.contains(told), "{error}");
            assert!(!error.contains("p@ss"), "{error}");
        }
        assert!(!format!("{:?}", content()).contains("p@ss"));
        assert!(take(&Content::Text("bare".to_owned().into()), "vault://a#b").is_err());
    }
}
