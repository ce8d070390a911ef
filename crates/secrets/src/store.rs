//! What all stores have in common: they parse the reference, select a part of the secret, and count and log the refresh.

#![cfg_attr(
    not(any(feature = "vault", feature = "aws", feature = "kubernetes")),
    allow(dead_code, reason = "without a feature there are no stores")
)]

use async_trait::async_trait;
use flotilla_config::{ResolveError, Resolved, SecretResolver};

use crate::metrics::{Outcome, Refreshes};
use crate::reference::Reference;
use crate::secret::Secret;

/// A secret store.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    /// The scheme of its references.
    const SCHEME: &'static str;

    /// Reads the secret at the reference's path.
    async fn read(&self, reference: &Reference) -> Result<Secret, ResolveError>;
}

/// A store as a resolver of settings.
pub(crate) struct Resolver<S> {
    store: S,
    refreshes: Refreshes,
}

impl<S: Store> Resolver<S> {
    pub fn new(store: S, refreshes: &Refreshes) -> Self {
        Self { store, refreshes: refreshes.clone() }
    }

    async fn read(&self, reference: &str) -> Result<(Outcome, Resolved), ResolveError> {
        let reference =
            Reference::parse(S::SCHEME, reference).map_err(|error| ResolveError::permanent(error.to_string()))?;
        let secret = self.store.read(&reference).await?;
        let value = secret.content.take(&reference)?;
        Ok((secret.outcome, Resolved { value, refresh_in: secret.refresh_in }))
    }
}

#[async_trait]
impl<S: Store> SecretResolver for Resolver<S> {
    fn scheme(&self) -> &str {
        S::SCHEME
    }

    async fn resolve(&self, reference: &str) -> Result<Resolved, ResolveError> {
        let answer = self.read(reference).await;
        let outcome = answer.as_ref().map_or(Outcome::Failed, |(outcome, _)| *outcome);
        self.refreshes.count(S::SCHEME, outcome);
        match answer {
            Ok((outcome, resolved)) => {
                let refresh_seconds = resolved.refresh_in.map(|wait| wait.as_secs());
                tracing::debug!(
                    store = S::SCHEME,
                    reference,
                    outcome = outcome.as_str(),
                    refresh_seconds,
                    "secret resolved"
                );
                Ok(resolved)
            }
            Err(error) => Err(error),
        }
    }
}
