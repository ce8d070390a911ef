//! Values of settings with secrets masked, and the difference between two configurations.

use crate::kind::Kind;
use crate::value::SettingValue;

/// Shown in place of a secret.
pub(crate) const MASK: &str = "****";

/// The value of a setting, masked if it is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The dotted name.
    pub name: String,
    /// The value; `None` for a setting without one.
    pub value: Option<String>,
    /// Whether the value is a secret, and therefore masked.
    pub secret: bool,
}

impl Shown {
    /// A value that isn't a secret; a password in a URL is masked.
    #[must_use]
    pub fn plain(name: &str, value: impl AsRef<str>) -> Self {
        Self { name: name.to_owned(), value: Some(without_password(value.as_ref())), secret: false }
    }

    pub(crate) fn of<T: SettingValue>(name: &str, value: &T) -> Self {
        Self { secret: T::kind() == Kind::Secret, ..Self::plain(name, value.shown()) }
    }

    pub(crate) fn none(name: &str) -> Self {
        Self { name: name.to_owned(), value: None, secret: false }
    }
}

/// A setting that differs between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The dotted name.
    pub name: String,
    /// Whether a running process can adopt it.
    pub live: bool,
}

impl Change {
    /// A change that a running process can't adopt.
    pub(crate) fn needs_restart(name: &str) -> Self {
        Self { name: name.to_owned(), live: false }
    }
}

/// Masks the password if the text is a URL with one: `nats://user:****@host`.
pub(crate) fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((user, host)) = rest[..end].rsplit_once('@') else { return text.to_owned() };
    let name = user.split_once(':').map_or(MASK.to_owned(), |(name, _)| format!("{name}:{MASK}"));
    format!("{scheme}://{name}@{host}{}", &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_masked() {
        assert_eq!(without_password("nats://me:hunter2@host:1/x"), "nats://me:****@host:1/x");
        assert_eq!(without_password("nats://token@host"), "nats://****@host");
        assert_eq!(without_password("http://host/a@b"), "http://host/a@b");
        assert_eq!(without_password("a@b"), "a@b");
    }
}
