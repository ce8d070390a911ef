//! The section `cache` of a service's settings.

use std::time::Duration;

use flotilla_config::{HumanDuration, Problems, SecretString, Setting, Validate};

/// Maximum of the command timeout: a value can also be fetched from its service.
const MAX_TIMEOUT: Duration = Duration::from_secs(5);

/// The cache of a service. Variables: `FLOTILLA__CACHE__<FIELD>`.
#[derive(Clone, Debug, Setting)]
#[setting(default)]
pub struct CacheSettings {
    /// Address of Redis or Valkey, such as `redis://localhost:6379`; without it nothing is cached.
    #[setting(alias = "REDIS_URL")]
    pub redis_url: Option<SecretString>,
    /// Maximum wait for a response.
    pub command_timeout: HumanDuration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { redis_url: None, command_timeout: HumanDuration::from_millis(50) }
    }
}

impl Validate for CacheSettings {
    fn validate(&self, problems: &mut Problems) {
        if let Some(url) = &self.redis_url {
            problems.require(
                crate::redis::parse_url(url).is_some(),
                "redis_url",
                "expected an address such as redis://localhost:6379",
            );
        }
        let waits = (Duration::from_millis(1)..=MAX_TIMEOUT).contains(&self.command_timeout.get());
        problems.require(
            waits,
            "command_timeout",
            "must be from 1ms to 5s, because a cache that is down must not delay calls",
        );
    }
}
