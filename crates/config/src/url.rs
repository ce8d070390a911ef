//! URLs of other processes.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// A URL with a scheme and a host, such as `http://host:port`, kept as written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url(String);

/// The text isn't such a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL such as http://host:port")]
pub struct UrlSyntax;

impl Url {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Url {
    type Err = UrlSyntax;

    fn from_str(text: &str) -> Result<Self, UrlSyntax> {
        let text = text.trim();
        let parsed = url::Url::parse(text).map_err(|_| UrlSyntax)?;
        let absolute = text.contains("://") && parsed.host_str().is_some_and(|host| !host.is_empty());
        if absolute { Ok(Self(text.to_owned())) } else { Err(UrlSyntax) }
    }
}

impl Deref for Url {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Masks the password, if any.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::shown::without_password(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        for text in ["http://127.0.0.1:7101", "nats://user:pass@nats:4222", "redis://[::1]:6379/0"] {
            assert_eq!(text.parse::<Url>().unwrap().as_str(), text);
        }
        for text in ["", "orders", "orders:7103", "http://", "http://:80", "/path", "mailto:a@b.c"] {
            assert_eq!(text.parse::<Url>(), Err(UrlSyntax), "{text:?}");
        }
        let shown = format!("{:?}", "http://me:hunter2@host".parse::<Url>().unwrap());
        assert_eq!(shown, "http://me:****@host");
    }
}
