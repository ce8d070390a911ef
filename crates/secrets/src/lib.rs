//! Secrets by reference: a setting names a store and a key, this crate gives the value, and gives it anew before it ends.
//!
//! Owns the stores behind the features `vault`, `aws` and `kubernetes`, the section `secrets` of the settings, what a
//! reference may look like ([`Reference`]), and behind the feature `cluster` what makes secrets of Kubernetes. Guarantees: every request has a deadline and every repetition a bound; no
//! value, token or answer of a store is in an error, a log line or a `Debug` text; a credential that is leased is renewed,
//! or replaced by a new one, while the old one still holds.

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
pub use cluster::{Cluster, Made};
pub use reference::{BadReference, Reference};
pub use settings::{AwsSettings, KubernetesSettings, SecretsSettings, VaultAuth, VaultSettings};

use crate::metrics::Refreshes;

/// The schemes of the stores that this build has.
pub const COMPILED: &[&str] = &[
    #[cfg(feature = "vault")]
    "vault",
    #[cfg(feature = "aws")]
    "aws",
    #[cfg(feature = "kubernetes")]
    "kubernetes",
];

/// The stores of this build, none of which is talked to before a reference needs it.
#[derive(Clone)]
pub struct Stores {
    resolvers: Vec<Arc<dyn SecretResolver>>,
    refreshes: Refreshes,
}

impl Stores {
    /// Stores as the settings say.
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

    /// Shows what was counted so far, and from then on, as `flotilla_secret_refreshes_total{store,result}`. Apart from
    /// [`new`](Self::new) because settings are resolved before there is a registry.
    ///
    /// # Errors
    /// The name is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.refreshes.register(registry)
    }
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stores").field(&COMPILED).finish()
    }
}

/// The resolvers of [`Stores::new`], for those who need no metrics.
#[must_use]
pub fn resolvers(settings: &SecretsSettings) -> Vec<Arc<dyn SecretResolver>> {
    Stores::new(settings).resolvers()
}
