//! Resolves secret references with the stores that this build has.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_config::{Problem, SecretReference, scheme_of};
use flotilla_secrets::{SecretsSettings, Stores};
use futures::future::join_all;

/// The minimum time until a secret is fetched again.
const SHORTEST: Duration = Duration::from_secs(1);

/// The stores.
pub(crate) struct Secrets(Stores);

/// Resolved references.
#[derive(Default)]
pub(crate) struct ResolvedSecrets {
    pub values: flotilla_config::Secrets,
    /// By setting: why its secret can't be read.
    failures: BTreeMap<String, String>,
    /// When the first of the secrets must be fetched again.
    pub refresh_in: Option<Duration>,
}

impl Secrets {
    pub fn new(settings: &SecretsSettings) -> Self {
        Self(Stores::new(settings))
    }

    pub fn register(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        self.0.register(registry)
    }

    /// Fetches each secret once, all concurrently. Stores have deadlines of their own.
    pub async fn resolve(&self, references: &[SecretReference]) -> ResolvedSecrets {
        let mut resolved = ResolvedSecrets::default();
        if references.is_empty() {
            return resolved;
        }
        let stores = self.0.resolvers();
        let mut by_reference: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for found in references {
            by_reference.entry(&found.reference).or_default().push(&found.setting);
        }
        let asked = by_reference.into_iter().map(|(reference, settings)| {
            let scheme = scheme_of(reference).unwrap_or_default();
            let store = stores.iter().find(|store| store.scheme() == scheme);
            async move {
                let answer = match store {
                    Some(store) => store.resolve(reference).await.map_err(|error| error.to_string()),
                    None => Err(format!("this build doesn't include the store {scheme}")),
                };
                (reference, settings, answer)
            }
        });
        for (reference, settings, answer) in join_all(asked).await {
            match answer {
                Ok(secret) => {
                    let due = secret.refresh_in.map(|due| due.max(SHORTEST));
                    resolved.refresh_in = resolved.refresh_in.into_iter().chain(due).min();
                    resolved.values.insert(reference.to_owned(), secret.value);
                }
                Err(error) => {
                    resolved.failures.extend(settings.into_iter().map(|name| (name.to_owned(), error.clone())));
                }
            }
        }
        resolved
    }
}

impl ResolvedSecrets {
    /// The problems, with the reason why a secret couldn't be read.
    pub fn explain(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let explain = |problem: Problem| match self.failures.get(&problem.setting) {
            Some(reason) => Problem { message: format!("its secret can't be read: {reason}"), ..problem },
            None => problem,
        };
        problems.into_iter().map(explain).collect()
    }
}
