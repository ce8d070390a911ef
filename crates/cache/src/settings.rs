//! The section `cache` of a service's settings.

use std::time::Duration;

use flotilla_config::{ByteSize, HumanDuration, Live, Problems, SecretString, Setting, Validate};

use crate::policy::Policy;

/// Maximum of the command timeout: a value can also be fetched from its service.
const MAX_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum of the other times.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The cache of a service. Variables: `FLOTILLA__CACHE__<FIELD>`.
#[derive(Clone, Debug, Setting)]
#[setting(default)]
pub struct CacheSettings {
    /// Address of Redis or Valkey, such as `redis://localhost:6379`; without it nothing is cached.
    #[setting(alias = "REDIS_URL")]
    pub redis_url: Option<SecretString>,
    /// Maximum wait for a response.
    pub command_timeout: HumanDuration,
    /// Maximum memory of the entries that this process keeps itself. If memory is limited, at most a sixteenth of it.
    pub memory: ByteSize,
    /// How long it uses them without asking Redis: how long a change may go unnoticed if its message is lost.
    pub memory_ttl: HumanDuration,
    /// How long an expired entry may be served while its service is unavailable; 0s for never.
    pub stale: HumanDuration,
    /// How long it is cached that there is no value.
    pub negative_ttl: HumanDuration,
    /// How long a reader waits while another process loads the same entry, before it loads it itself.
    pub wait: HumanDuration,
}

impl CacheSettings {
    /// The policy of a cache whose entries are fresh for `ttl` and whose loads take at most `load_timeout`.
    pub fn policy(&self, ttl: Live<HumanDuration>, load_timeout: Duration) -> Policy {
        Policy {
            ttl,
            memory_ttl: self.memory_ttl.get(),
            stale: self.stale.get(),
            negative_ttl: self.negative_ttl.get(),
            wait: self.wait.get(),
            load_timeout,
            memory: self.memory.0,
        }
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            redis_url: None,
            command_timeout: HumanDuration::from_millis(50),
            memory: ByteSize::mib(16),
            memory_ttl: HumanDuration::from_secs(5),
            stale: HumanDuration::from_secs(60),
            negative_ttl: HumanDuration::from_secs(2),
            wait: HumanDuration::from_secs(1),
        }
    }
}

impl Validate for CacheSettings {
    fn validate(&self, problems: &mut Problems) {
        validate_server(self.redis_url.as_ref(), self.command_timeout, problems);
        for (name, value) in [
            ("memory_ttl", self.memory_ttl),
            ("stale", self.stale),
            ("negative_ttl", self.negative_ttl),
            ("wait", self.wait),
        ] {
            problems.require(value.get() <= LONGEST, name, "must be at most 1h: what is cached gets old");
        }
    }
}

/// Invalidation of what other services cache. Variables: `FLOTILLA__CACHE__<FIELD>`.
#[derive(Clone, Debug, Setting)]
#[setting(default)]
pub struct InvalidationSettings {
    /// Address of the Redis or Valkey that they use; without it nothing is invalidated.
    #[setting(alias = "REDIS_URL")]
    pub redis_url: Option<SecretString>,
    /// Maximum wait for a response.
    pub command_timeout: HumanDuration,
    /// How long Redis remembers that a value has changed. At least as long as they may serve an old one: their time to
    /// live, `cache.stale` and their default deadline together.
    pub remember: HumanDuration,
}

impl Default for InvalidationSettings {
    fn default() -> Self {
        Self {
            redis_url: None,
            command_timeout: HumanDuration::from_millis(100),
            remember: HumanDuration::from_secs(600),
        }
    }
}

impl Validate for InvalidationSettings {
    fn validate(&self, problems: &mut Problems) {
        validate_server(self.redis_url.as_ref(), self.command_timeout, problems);
        let remembers = (Duration::from_secs(1)..=3 * LONGEST).contains(&self.remember.get());
        problems.require(remembers, "remember", "must be from 1s to 3h");
    }
}

fn validate_server(url: Option<&SecretString>, command_timeout: HumanDuration, problems: &mut Problems) {
    if let Some(url) = url {
        problems.require(
            crate::redis::parse_url(url).is_some(),
            "redis_url",
            "expected an address such as redis://localhost:6379",
        );
    }
    let waits = (Duration::from_millis(1)..=MAX_TIMEOUT).contains(&command_timeout.get());
    problems.require(
        waits,
        "command_timeout",
        "must be from 1ms to 5s, because a cache that is down must not delay calls",
    );
}
