//! A reference to a secret: its store, its path and the part of it that is used.
//!
//! * `scheme://path#key`: one field of the secret.
//! * `scheme://path#template`: a text in which each `{field}` is replaced by that field, percent-encoded for use in a URL:
//!   `vault://database/creds/orders#postgres://{username}:{password}@db/orders`.
//! * `scheme://path`: the whole secret, if it has only one value.

use std::fmt;

/// A parsed reference. It names a secret but doesn't contain one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    path: String,
    selector: Selector,
}

/// The part of a secret that a reference selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    Whole,
    Field(String),
    Template(Vec<Part>),
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Field(String),
}

/// Why a reference is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadReference(String);

impl fmt::Display for BadReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadReference {}

impl Reference {
    /// Parses a reference with this scheme.
    ///
    /// # Errors
    /// Another scheme, no path, a path with an empty or dotted segment, or a template with an unmatched brace.
    pub fn parse(scheme: &str, text: &str) -> Result<Self, BadReference> {
        let bad = |what: &str| BadReference(format!("invalid reference, {what}; use {scheme}://path#key"));
        let rest = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
        let rest = rest.ok_or_else(|| bad("it has another scheme"))?;
        let (path, selector) = match rest.split_once('#') {
            None => (rest, Selector::Whole),
            Some((_, "")) => return Err(bad("no key follows `#`")),
            Some((path, key)) if key.contains(['{', '}']) => (path, template(key).map_err(|what| bad(&what))?),
            Some((path, key)) => (path, Selector::Field(key.to_owned())),
        };
        // The path becomes part of a request's target, so it must not be able to select another resource.
        let plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '%' | '\\' | '"'))
        };
        if path.is_empty() || !path.split('/').all(plain) {
            return Err(bad("the path has a segment that isn't a plain name"));
        }
        Ok(Self { path: path.to_owned(), selector })
    }

    /// The path of the secret.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    #[cfg_attr(
        not(any(feature = "vault", feature = "aws", feature = "kubernetes")),
        allow(dead_code, reason = "only stores use it")
    )]
    pub(crate) fn selector(&self) -> &Selector {
        &self.selector
    }
}

fn template(text: &str) -> Result<Selector, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, behind) = after.split_once('}').ok_or("the template has an unclosed brace")?;
        if before.contains('}') || field.is_empty() || field.contains('{') {
            return Err("a template has fields in the form {field}".to_owned());
        }
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(Part::Field(field.to_owned()));
        rest = behind;
    }
    if rest.contains('}') {
        return Err("a template has fields in the form {field}".to_owned());
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(Selector::Template(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_path_and_a_key_or_template() {
        let parse = |text| Reference::parse("vault", text).unwrap();
        assert_eq!(parse("vault://secret/orders#url").selector, Selector::Field("url".to_owned()));
        assert_eq!(parse("vault://secret/orders#url").path(), "secret/orders");
        assert_eq!(parse("vault://secret/orders").selector, Selector::Whole);
        let text = |text: &str| Part::Text(text.to_owned());
        let field = |name: &str| Part::Field(name.to_owned());
        assert_eq!(
            parse("vault://database/creds/orders#postgres://{username}:{password}@db:5432/orders#x").selector,
            Selector::Template(vec![
                text("postgres://"),
                field("username"),
                text(":"),
                field("password"),
                text("@db:5432/orders#x")
            ])
        );
    }

    #[test]
    fn an_invalid_reference_is_refused() {
        for text in [
            "aws://a#b",
            "vault:a#b",
            "vault://#b",
            "vault://a#",
            "vault://a/../b#c",
            "vault://a//b#c",
            "vault://a/b?list=true#c",
            "vault://a/%2e%2e/b#c",
            "vault://a b#c",
            "vault://a\r\nX-Vault-Token: b#c",
            "vault://a#{b",
            "vault://a#b}",
            "vault://a#{}",
            "vault://a#{b{c}}",
        ] {
            assert!(Reference::parse("vault", text).is_err(), "{text:?}");
        }
    }
}
