//! Why one attempt at reading the tree stopped, and at which setting.
//!
//! The messages name what was expected and never what was found.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::suggest::nearest;

/// What stopped an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A setting without a default isn't there.
    Missing,
    /// There is no such setting.
    Unknown,
    /// The value doesn't fit.
    Bad,
}

/// Why and where an attempt stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// The field of a missing or unknown setting, relative to the struct that is being read.
    pub(crate) field: Option<&'static str>,
    /// Set as the failure passes the place where it happened.
    pub(crate) setting: Option<String>,
}

impl Failure {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self { kind: Kind::Bad, message: message.into(), field: None, setting: None }
    }

    /// Notes where it happened, unless that is known already.
    pub(crate) fn at(mut self, place: &str) -> Self {
        if self.setting.is_none() {
            self.setting = Some(match self.field {
                Some(field) => join(place, field),
                None => place.to_owned(),
            });
        }
        self
    }

    /// Notes the key that wasn't known.
    pub(crate) fn about_key(mut self, place: &str, key: &str) -> Self {
        if self.kind == Kind::Unknown && self.setting.is_none() {
            self.setting = Some(join(place, key));
        }
        self
    }
}

/// A dotted name.
pub(crate) fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::bad(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::bad(format!("expected {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::bad(format!("expected {expected}"))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::bad(format!("expected {expected}"))
    }

    fn unknown_variant(given: &str, expected: &'static [&'static str]) -> Self {
        let meant = nearest(given, expected.iter().copied());
        let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
        Self::bad(format!("expected one of {}{meant}", expected.join(", ")))
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self { kind: Kind::Unknown, message: String::new(), field: None, setting: None }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { kind: Kind::Missing, message: String::new(), field: Some(field), setting: None }
    }
}
