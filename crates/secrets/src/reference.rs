//! A reference to a secret: its store, its path and the part of it that is used.
//!
//! `scheme://path#key`: one field of the secret. `scheme://path#template`: a text in which `{field}` stands for a field,
//! percent-encoded, as the parts of an address have to be: `vault://database/creds/orders#postgres://{username}:{password}@db/orders`.
//! `scheme://path`: the whole secret, if it is one text.

use std::fmt;

/// A reference, understood. It names a secret and holds none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    path: String,
    wanted: Wanted,
}

/// What of a secret is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    Field(String),
    Template(Vec<Part>),
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Field(String),
}

/// Why a reference can't be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadReference(String);

impl fmt::Display for BadReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadReference {}

impl Reference {
    /// Understands a reference of this scheme.
    ///
    /// # Errors
    /// Another scheme, no path, a path with an empty or dotted segment, or a template with an open brace.
    pub fn parse(scheme: &str, text: &str) -> Result<Self, BadReference> {
        let bad = |what: &str| BadReference(format!("a reference of this store is {scheme}://path#key: {what}"));
        let rest = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
        let rest = rest.ok_or_else(|| bad("another scheme"))?;
        let (path, wanted) = match rest.split_once('#') {
            None => (rest, Wanted::Whole),
            Some((_, "")) => return Err(bad("no key after `#`")),
            Some((path, key)) if key.contains(['{', '}']) => (path, template(key).map_err(|what| bad(&what))?),
            Some((path, key)) => (path, Wanted::Field(key.to_owned())),
        };
        // A path becomes part of a request's target: nothing in it may lead elsewhere.
        let plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '%' | '\\' | '"'))
        };
        if path.is_empty() || !path.split('/').all(plain) {
            return Err(bad("the path's segments are plain names, with `/` between them"));
        }
        Ok(Self { path: path.to_owned(), wanted })
    }

    /// The path of the secret.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    #[cfg_attr(
        not(any(feature = "vault", feature = "aws", feature = "kubernetes")),
        allow(dead_code, reason = "stores alone ask")
    )]
    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }
}

fn template(text: &str) -> Result<Wanted, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, behind) = after.split_once('}').ok_or("a brace of the template isn't closed")?;
        if before.contains('}') || field.is_empty() || field.contains('{') {
            return Err("a field in a template is written {field}".to_owned());
        }
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(Part::Field(field.to_owned()));
        rest = behind;
    }
    if rest.contains('}') {
        return Err("a field in a template is written {field}".to_owned());
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(Wanted::Template(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_path_and_what_is_wanted_there() {
        let parse = |text| Reference::parse("vault", text).unwrap();
        assert_eq!(parse("vault://secret/orders#url").wanted, Wanted::Field("url".to_owned()));
        assert_eq!(parse("vault://secret/orders#url").path(), "secret/orders");
        assert_eq!(parse("vault://secret/orders").wanted, Wanted::Whole);
        let text = |text: &str| Part::Text(text.to_owned());
        let field = |name: &str| Part::Field(name.to_owned());
        assert_eq!(
            parse("vault://database/creds/orders#postgres://{username}:{password}@db:5432/orders#x").wanted,
            Wanted::Template(vec![
                text("postgres://"),
                field("username"),
                text(":"),
                field("password"),
                text("@db:5432/orders#x")
            ])
        );
    }

    #[test]
    fn a_reference_that_would_lead_elsewhere_is_refused() {
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
