//! Secrets by reference: a setting's value names a store and a key, and the store's resolver returns the secret.
//!
//! The loader never calls a store: it lists the references in use, and its caller resolves them and passes the secrets
//! back. So loading stays synchronous, and an unavailable store never leaves a half-loaded configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

/// Schemes of references that a value may begin with; any other text is the value itself.
pub const SCHEMES: [&str; 3] = ["vault", "aws", "kubernetes"];

/// Resolves references to one secret store.
#[async_trait]
pub trait SecretResolver: Send + Sync {
    /// The scheme of its references, without `://`: `vault`.
    fn scheme(&self) -> &str;

    /// Returns the current value of a reference such as `vault://secret/orders#password`. Resolving a reference to a
    /// dynamic credential again renews or replaces the credential.
    ///
    /// # Errors
    /// The reference is malformed, access is denied, or the store doesn't respond.
    async fn resolve(&self, reference: &str) -> Result<Resolved, ResolveError>;
}

/// A secret and how long it stays valid.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The value.
    pub value: SecretString,
    /// When to resolve it again; `None`: only on a reload.
    pub refresh_in: Option<Duration>,
}

/// A reference can't be resolved. The message contains no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ResolveError {
    message: String,
    retriable: bool,
}

impl ResolveError {
    /// An error that no retry can fix: a malformed reference, a missing key, no permission.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: false }
    }

    /// An error that may pass: the store doesn't respond.
    #[must_use]
    pub fn transient(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: true }
    }

    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.retriable
    }
}

/// Secrets by reference.
pub type Secrets = BTreeMap<String, SecretString>;

/// The scheme of a reference; `None` if the text isn't one.
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
