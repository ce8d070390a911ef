//! The settings of a running service: loaded once, then followed.
//!
//! Owns the order in which sources are read (local ones, then the remote one and the secret stores that those name),
//! the version of the configuration, and what a reload may change. Guarantees:
//! * A reload is applied as a whole or not at all. One that is invalid, or that changes a setting that isn't `Live`, is
//!   refused, logged and counted, and the previous settings stay in force.
//! * Two reloads never mix: the second waits for the first.
//! * A service that is configured only by the environment follows nothing but signals.

mod commands;
mod follow;
mod metrics;
mod routes;
mod stores;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use flotilla_config::{
    Change, ConfigError, Effective, Fingerprint, Loaded, Merged, Reference, RemoteLayer, Setting, Sources,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use commands::{Shape, describe};
pub(crate) use follow::Follower;

use crate::remote::{Remote, RemoteSettings};
use metrics::Metrics;
use stores::Secrets;

/// The requirements on a service's settings.
pub trait Settings: Setting + Clone + Send + Sync + 'static {}

impl<T: Setting + Clone + Send + Sync + 'static> Settings for T {}

/// The result of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// These settings changed.
    Applied(Vec<String>),
    /// Nothing changed.
    Unchanged,
    /// The reload was refused, and why; the previous settings stay in force.
    Refused(String),
}

/// The current configuration.
struct State<T> {
    settings: T,
    effective: Effective,
    version: u64,
    /// Why the last reload was refused, if it was.
    refused: Option<String>,
    merged: Merged,
    /// The state of the files, taken before they were read.
    fingerprint: Fingerprint,
    refresh_in: Option<Duration>,
}

/// The result of reading all sources once.
struct Read<T> {
    loaded: Loaded<T>,
    merged: Merged,
    fingerprint: Fingerprint,
    refresh_in: Option<Duration>,
}

/// The remote source and the task that follows it.
struct Following {
    remote: Remote,
    task: Mutex<Option<JoinHandle<()>>>,
    stop: CancellationToken,
}

/// The settings of a service and their sources.
pub struct Configuration<T> {
    service: &'static str,
    sources: Sources,
    reference: Reference,
    secrets: Secrets,
    remote: Option<Following>,
    state: Mutex<State<T>>,
    one_at_a_time: tokio::sync::Mutex<()>,
    metrics: Metrics,
}

impl<T: Settings> Configuration<T> {
    /// Reads all sources. Remote ones are read only if local ones name them.
    ///
    /// # Errors
    /// Every setting that is missing, unknown or invalid, and secrets that can't be read.
    pub async fn load(service: &'static str, sources: Sources) -> anyhow::Result<Arc<Self>> {
        let reference = Reference::of::<T>();
        let merged = sources.merge(&reference, &RemoteLayer::default())?;
        // Problems with these are reported below, together with all others.
        let secrets = Secrets::new(&merged.section("secrets").unwrap_or_default());
        let settings: RemoteSettings = merged.section("remote").unwrap_or_default();
        let remote = if settings.is_on() { Some(Following::start(service, &settings).await?) } else { None };
        let layer = remote.as_ref().map(|following| following.remote.layer()).unwrap_or_default();
        let read = match read(&sources, &reference, &secrets, &layer).await {
            // The content of the bucket must not keep the service from starting: it is refused, as at a reload.
            Err(error) if !layer.values().is_empty() => {
                let near = read(&sources, &reference, &secrets, &RemoteLayer::default()).await;
                tracing::warn!(error = format!("{error:#}"), "remote settings refused");
                near.map(|near| (near, Some(format!("{error:#}"))))
            }
            read => read.map(|read| (read, None)),
        };
        let (read, refused) = match read {
            Ok(read) => read,
            Err(error) => {
                if let Some(following) = &remote {
                    following.end().await;
                }
                return Err(error);
            }
        };
        let state = State {
            settings: read.loaded.settings,
            effective: read.loaded.effective,
            version: 1,
            refused,
            merged: read.merged,
            fingerprint: read.fingerprint,
            refresh_in: read.refresh_in,
        };
        Ok(Arc::new(Self {
            service,
            sources,
            reference,
            secrets,
            remote,
            state: Mutex::new(state),
            one_at_a_time: tokio::sync::Mutex::default(),
            metrics: Metrics::new(),
        }))
    }

    /// The settings; live ones change in place.
    pub fn settings(&self) -> T {
        self.state().settings.clone()
    }

    /// The follower of the remote source, if there is one.
    pub fn remote(&self) -> Option<Remote> {
        self.remote.as_ref().map(|following| following.remote.clone())
    }

    /// The value and source of each setting.
    pub fn effective(&self) -> Effective {
        self.state().effective.clone()
    }

    /// The number of applied configurations, from 1.
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// Registers the metrics of versions, reloads and secrets.
    ///
    /// # Errors
    /// A metric's name is already registered.
    pub fn register(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        self.metrics.register(registry)?;
        self.secrets.register(registry)
    }

    /// Reads all sources again and applies all changes or none. `cause` is logged.
    pub async fn reload(&self, cause: &'static str) -> Outcome {
        let _turn = self.one_at_a_time.lock().await;
        let layer = self.remote().map(|remote| remote.layer()).unwrap_or_default();
        let outcome = match read(&self.sources, &self.reference, &self.secrets, &layer).await {
            Ok(read) => self.apply(read),
            Err(error) => Outcome::Refused(format!("{error:#}")),
        };
        let version = self.note(&outcome);
        match &outcome {
            Outcome::Applied(settings) => {
                let settings = settings.join(" ");
                tracing::info!(service = self.service, cause, version, settings, "configuration reloaded");
            }
            Outcome::Unchanged => {
                tracing::debug!(service = self.service, cause, version, "configuration is unchanged");
            }
            Outcome::Refused(error) => {
                tracing::warn!(service = self.service, cause, version, error, "configuration reload refused");
            }
        }
        outcome
    }

    fn apply(&self, read: Read<T>) -> Outcome {
        let mut state = self.state();
        // Also if the reload is refused, so that the same files aren't read again and again.
        state.fingerprint = read.fingerprint;
        state.refresh_in = read.refresh_in;
        let mut changes = Vec::new();
        state.settings.differ(&read.loaded.settings, "", &mut changes);
        let (live, fixed): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|change| change.live);
        if !fixed.is_empty() {
            let names: Vec<String> = fixed.into_iter().map(|change| change.name).collect();
            return Outcome::Refused(format!("needs a restart: {}", names.join(", ")));
        }
        state.merged = read.merged;
        // The source of a value may have changed although the value didn't.
        state.effective = read.loaded.effective;
        if live.is_empty() {
            return Outcome::Unchanged;
        }
        state.settings.adopt(&read.loaded.settings);
        Outcome::Applied(live.into_iter().map(|change| change.name).collect())
    }

    /// Counts the outcome; returns the current version.
    fn note(&self, outcome: &Outcome) -> u64 {
        let mut state = self.state();
        state.refused = match outcome {
            Outcome::Applied(_) => {
                state.version += 1;
                None
            }
            Outcome::Unchanged => None,
            Outcome::Refused(error) => Some(error.clone()),
        };
        self.metrics.count(outcome, state.version);
        state.version
    }

    /// Stops following the remote source.
    pub async fn close(&self) {
        if let Some(following) = &self.remote {
            following.end().await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all sources, and the secrets that they refer to.
async fn read<T: Settings>(
    sources: &Sources,
    reference: &Reference,
    secrets: &Secrets,
    layer: &RemoteLayer,
) -> anyhow::Result<Read<T>> {
    let merged = sources.merge(reference, layer)?;
    let fingerprint = Fingerprint::of(merged.watched());
    let resolved = secrets.resolve(&merged.references()).await;
    let loaded = merged.read(reference, &resolved.values).map_err(|error| match error {
        // One list of invalid settings and of secrets that couldn't be read.
        ConfigError::Settings(problems) => ConfigError::Settings(resolved.explain(problems)),
        other => other,
    })?;
    Ok(Read { loaded, merged, fingerprint, refresh_in: resolved.refresh_in })
}

impl Following {
    async fn start(service: &'static str, settings: &RemoteSettings) -> anyhow::Result<Self> {
        let (remote, follower) = Remote::follow(service, settings).await.context("remote source")?;
        let stop = CancellationToken::new();
        let task = flotilla_telemetry::spawn(follower.run(stop.clone()));
        if !remote.is_read_within(settings.start_timeout.get()).await {
            tracing::warn!(service, "remote settings are unavailable, starting without them");
        }
        Ok(Self { remote, task: Mutex::new(Some(task)), stop })
    }

    async fn end(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = match task {
            Some(task) => Some(task.await),
            None => None,
        } {
            tracing::warn!(%error, "follower of remote settings failed");
        }
    }
}
