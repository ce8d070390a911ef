//! Processes that share a server in memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_cache::remote::SharedRemote;
use flotilla_cache::{Found, Loaded, Parts, Policy, TwoLevelCache};
use flotilla_config::HumanDuration;
use flotilla_testkit::memory::{MemoryRemote, SeededRandom};
use prometheus::{Registry, TextEncoder};

pub const KEY: &str = "tea";
pub const TTL: Duration = Duration::from_secs(30);
pub const MEMORY_TTL: Duration = Duration::from_secs(5);
pub const STALE: Duration = Duration::from_secs(60);
pub const WAIT: Duration = Duration::from_secs(1);
pub const LOAD_TIMEOUT: Duration = Duration::from_secs(4);
pub const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);

pub fn policy() -> Policy {
    Policy {
        ttl: HumanDuration(TTL).into(),
        memory_ttl: MEMORY_TTL,
        stale: STALE,
        negative_ttl: Duration::from_secs(2),
        wait: WAIT,
        load_timeout: LOAD_TIMEOUT,
        memory: 1 << 20,
    }
}

/// A process.
pub struct Process {
    pub cache: TwoLevelCache<Bytes>,
    pub registry: Registry,
}

impl Process {
    pub fn start(remote: Option<&MemoryRemote>, random: &Arc<SeededRandom>, policy: Policy) -> Self {
        let registry = Registry::new();
        let parts = Parts {
            name: "products",
            remote: remote.map(|remote| Arc::new(remote.clone()) as SharedRemote),
            command_timeout: HumanDuration(COMMAND_TIMEOUT),
            policy,
            random: Arc::clone(random) as _,
        };
        Self { cache: TwoLevelCache::start(parts, &registry), registry }
    }

    /// The value of a metric's sample.
    pub fn metric(&self, sample: &str) -> f64 {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {sample} in {text}")).parse().unwrap()
    }

    /// Reads; loads `value` with `version` if need be.
    pub async fn read(&self, version: u64, value: &'static str) -> String {
        text(&self.cache.get(KEY, || async move { Ok::<_, Infallible>(loaded(version, value)) }).await.unwrap())
    }

    /// Reads what must be cached.
    pub async fn cached(&self) -> String {
        text(&self.cache.get(KEY, || async { Err("it was loaded") }).await.unwrap())
    }
}

pub fn loaded(version: u64, value: &'static str) -> Loaded<Bytes> {
    Loaded { value: Some(Bytes::from_static(value.as_bytes())), version }
}

pub fn text(found: &Found<Bytes>) -> String {
    found.value().map_or_else(|| "nothing".to_owned(), |value| String::from_utf8(value.to_vec()).unwrap())
}

/// A server and processes on it. Their subscriptions are active.
pub async fn processes(count: usize) -> (MemoryRemote, Vec<Process>) {
    let random = Arc::new(SeededRandom::new(1));
    let remote = MemoryRemote::new(Arc::clone(&random));
    let processes: Vec<_> = (0..count).map(|_| Process::start(Some(&remote), &random, policy())).collect();
    settle().await;
    (remote, processes)
}

/// Lets all tasks do what they can do now.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
