//! Sources of definitions: the configuration and a key-value bucket.
//!
//! A source always has a complete set of parsed flags that can be evaluated immediately. An invalid definition is refused
//! by itself: the flag's previous definition stays in effect, and the source reports the reason.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use flotilla_config::{Live, Setting};
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::definition::{BadDefinition, Flag, FlagSet};

/// A document of definitions as a setting: flagd's JSON, validated with the settings.
#[derive(Clone, Default, Setting)]
#[setting(kind = "flag definitions as JSON")]
pub struct FlagDefinitions {
    text: String,
    set: Arc<FlagSet>,
}

impl FlagDefinitions {
    /// The flags.
    #[must_use]
    pub fn set(&self) -> &Arc<FlagSet> {
        &self.set
    }
}

impl FromStr for FlagDefinitions {
    type Err = BadDefinition;

    fn from_str(text: &str) -> Result<Self, BadDefinition> {
        let set = if text.trim().is_empty() { FlagSet::default() } else { FlagSet::parse(text)? };
        Ok(Self { text: text.to_owned(), set: Arc::new(set) })
    }
}

impl fmt::Display for FlagDefinitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for FlagDefinitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlagDefinitions({} flags)", self.set.len())
    }
}

impl PartialEq for FlagDefinitions {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The flags of a bucket, as its watcher publishes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Whether the bucket has been read at least once.
    pub ready: bool,
    /// Whether it is being followed; otherwise the last known definitions apply.
    pub connected: bool,
    /// The revision of the bucket.
    pub version: u64,
    /// Definitions by flag, each as JSON.
    pub flags: BTreeMap<String, String>,
}

/// One source of definitions.
pub(crate) enum Source {
    /// The setting `flags.definitions`; a reload changes it.
    Configuration(Live<FlagDefinitions>),
    /// A bucket.
    KeyValue(KeyValue),
}

impl Source {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Configuration(_) => "configuration",
            Self::KeyValue(_) => "nats",
        }
    }

    /// Whether it has been read at least once.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Configuration(_) => true,
            Self::KeyValue(bucket) => bucket.state.read().ready,
        }
    }

    /// A flag's definition. Waits at most for a writer that swaps a pointer.
    pub fn get(&self, flag: &str) -> Option<Arc<Flag>> {
        match self {
            Self::Configuration(setting) => setting.read(|definitions| definitions.set.get(flag).cloned()),
            Self::KeyValue(bucket) => bucket.state.read().set.get(flag).cloned(),
        }
    }

    /// All definitions.
    pub fn set(&self) -> Arc<FlagSet> {
        match self {
            Self::Configuration(setting) => setting.read(|definitions| Arc::clone(&definitions.set)),
            Self::KeyValue(bucket) => Arc::clone(&bucket.state.read().set),
        }
    }

    /// The revision, if the source has one, and the refused definitions with their reasons.
    pub fn report(&self) -> (Option<u64>, BTreeMap<String, String>) {
        match self {
            Self::Configuration(_) => (None, BTreeMap::new()),
            Self::KeyValue(bucket) => {
                let state = bucket.state.read();
                (Some(state.version), state.refused.clone())
            }
        }
    }

    /// Whether the source is connected.
    pub fn is_connected(&self) -> bool {
        match self {
            Self::Configuration(_) => true,
            Self::KeyValue(bucket) => bucket.state.read().connected,
        }
    }
}

/// The flags of a bucket.
#[derive(Clone)]
pub(crate) struct KeyValue {
    state: Arc<RwLock<BucketState>>,
    changes: watch::Receiver<Arc<Published>>,
}

#[derive(Default)]
struct BucketState {
    ready: bool,
    connected: bool,
    version: u64,
    set: Arc<FlagSet>,
    /// The JSON text of each flag in the set.
    texts: BTreeMap<String, String>,
    refused: BTreeMap<String, String>,
}

impl KeyValue {
    pub fn new(mut changes: watch::Receiver<Arc<Published>>) -> Self {
        let first = Arc::clone(&changes.borrow_and_update());
        let state = BucketState::default().updated(&first);
        Self { state: Arc::new(RwLock::new(state)), changes }
    }

    /// Follows the bucket until its watcher ends.
    pub async fn follow(mut self) {
        while self.changes.changed().await.is_ok() {
            let published = Arc::clone(&self.changes.borrow_and_update());
            // Outside the lock, because rules are compiled here.
            let next = {
                let state = self.state.read();
                BucketState { set: Arc::clone(&state.set), texts: state.texts.clone(), ..BucketState::default() }
            }
            .updated(&published);
            for (flag, why) in &next.refused {
                tracing::warn!(flag, why, "invalid flag definition, keeping the previous one");
            }
            *self.state.write() = next;
        }
    }
}

impl BucketState {
    /// The state after an update. An invalid definition leaves the previous one in effect.
    fn updated(&self, published: &Published) -> Self {
        let Published { ready, connected, version, .. } = *published;
        let mut next = Self { ready, connected, version, ..Self::default() };
        let mut set = FlagSet::default();
        for (name, text) in &published.flags {
            let unchanged = self.set.get(name).filter(|_| self.texts.get(name) == Some(text)).cloned();
            let read = unchanged.map_or_else(|| Flag::parse(name, text).map(Arc::new), Ok);
            let (flag, text) = match read {
                Ok(flag) => (Some(flag), text),
                Err(BadDefinition(why)) => {
                    next.refused.insert(name.clone(), why);
                    (self.set.get(name).cloned(), self.texts.get(name).unwrap_or(text))
                }
            };
            let Some(flag) = flag else { continue };
            match set.insert(name.clone(), flag) {
                Ok(()) => drop(next.texts.insert(name.clone(), text.clone())),
                Err(BadDefinition(why)) => drop(next.refused.insert(name.clone(), why)),
            }
        }
        next.set = Arc::new(set);
        next
    }
}
