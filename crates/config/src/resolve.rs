//! Secrets by reference: a setting's text names a store and a key, and the store's resolver gives the value.
//!
//! The loader never talks to a store: it tells which references are in use, whoever loads resolves them, and hands the
//! values back. So loading stays synchronous, and a store that doesn't answer never leaves a half-loaded configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

/// Schemes of references that a value may begin with; any other text is the value itself.
pub const SCHEMES: [&str; 3] = ["vault", "aws", "kubernetes"];

/// Where secrets are kept.
#[async_trait]
pub trait SecretResolver: Send + Sync {
    /// The scheme of its references, without `://`: `vault`.
    fn scheme(&self) -> &str;

    /// Gives the value for a whole reference, such as `vault://secret/orders#password`. Asked again for the same
    /// reference, it gives what holds by then: a dynamic credential is renewed, or made anew.
    ///
    /// # Errors
    /// The reference is malformed, denied, or the store doesn't answer.
    async fn resolve(&self, reference: &str) -> Result<Resolved, ResolveError>;
}

/// A secret and how long it may be relied on.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The value.
    pub value: SecretString,
    /// When to ask again; `None`: only at a reload.
    pub refresh_in: Option<Duration>,
}

/// A reference can't be resolved. The message names no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ResolveError {
    message: String,
    retriable: bool,
}

impl ResolveError {
    /// It won't work however often it is tried: a malformed reference, a missing key, no permission.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: false }
    }

    /// It may work later: the store doesn't answer.
    #[must_use]
    pub fn transient(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: true }
    }

    /// Whether it may work later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.retriable
    }
}

/// What references stand for: by the whole reference.
pub type Secrets = BTreeMap<String, SecretString>;

/// The scheme of a text that is a reference.
#[must_use]
pub fn scheme_of(text: &str) -> Option<&'static str> {
    let (scheme, rest) = text.split_once("://")?;
    SCHEMES.into_iter().find(|known| *known == scheme).filter(|_| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_scheme_makes_a_reference() {
        assert_eq!(scheme_of("vault://secret/orders#password"), Some("vault"));
        assert_eq!(scheme_of("kubernetes://shop/orders#url"), Some("kubernetes"));
        for text in ["postgresql://u:p@h/d", "vault:secret", "vault://", "secret"] {
            assert_eq!(scheme_of(text), None, "{text}");
        }
    }
}
