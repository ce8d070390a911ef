//! Secrets by reference: a setting names a store and a key; this crate reads the value and refreshes it before it expires.
//!
//! Owns the stores (features `vault`, `aws` and `kubernetes`), the section `secrets` of the settings, the syntax of
//! references ([`Reference`]), and the creation of Kubernetes secrets (feature `cluster`). Guarantees: every request has a
//! timeout and retries are bounded; no value, token or response of a store appears in an error, a log line or a `Debug`
//! text; a leased credential is renewed, or replaced by a new one, while it is still valid.

#[cfg(any(feature = "vault", feature = "cluster"))]
mod attempts;
#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod metrics;
mod reference;
mod secret;
mod settings;
mod store;
#[cfg(feature = "vault")]
mod vault;

use std::sync::Arc;

use flotilla_config::SecretResolver;
use prometheus::Registry;

#[cfg(feature = "cluster")]
pub use cluster::{Cluster, Creation};
pub use reference::{BadReference, Reference};
pub use settings::{AwsSettings, KubernetesSettings, SecretsSettings, VaultAuth, VaultSettings};

use crate::metrics::Refreshes;

/// The schemes of the stores in this build.
pub const COMPILED: &[&str] = &[
    #[cfg(feature = "vault")]
    "vault",
    #[cfg(feature = "aws")]
    "aws",
    #[cfg(feature = "kubernetes")]
    "kubernetes",
];

/// The stores of this build. None is contacted before a reference needs it.
#[derive(Clone)]
pub struct Stores {
    resolvers: Vec<Arc<dyn SecretResolver>>,
    refreshes: Refreshes,
}

impl Stores {
    /// Stores with these settings.
    #[must_use]
    pub fn new(settings: &SecretsSettings) -> Self {
        let refreshes = Refreshes::new();
        let resolvers: Vec<Arc<dyn SecretResolver>> = vec![
            #[cfg(feature = "vault")]
            Arc::new(store::Resolver::new(vault::Vault::new(settings), &refreshes)),
            #[cfg(feature = "aws")]
            Arc::new(store::Resolver::new(aws::SecretsManager::new(settings), &refreshes)),
            #[cfg(feature = "kubernetes")]
            Arc::new(store::Resolver::new(kubernetes::Kubernetes::new(settings), &refreshes)),
        ];
        #[cfg(not(any(feature = "vault", feature = "aws", feature = "kubernetes")))]
        let _ = settings;
        Self { resolvers, refreshes }
    }

    /// One resolver for each store.
    #[must_use]
    pub fn resolvers(&self) -> Vec<Arc<dyn SecretResolver>> {
        self.resolvers.clone()
    }

    /// Registers the metric `flotilla_secret_refreshes_total{store,result}`, which includes what was counted before.
    /// Separate from [`new`](Self::new) because settings are resolved before a registry exists.
    ///
    /// # Errors
    /// The metric is already registered.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.refreshes.register(registry)
    }
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stores").field(&COMPILED).finish()
    }
}

/// The resolvers of [`Stores::new`], for callers that don't need metrics.
#[must_use]
pub fn resolvers(settings: &SecretsSettings) -> Vec<Arc<dyn SecretResolver>> {
    Stores::new(settings).resolvers()
}
