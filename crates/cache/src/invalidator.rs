//! Invalidation by a service that changes what others cache and caches nothing itself.

use std::sync::Arc;
use std::time::Duration;

use flotilla_clock::Random;

use crate::guarded::Guarded;
use crate::invalidation::{self, Message};
use crate::names::Names;
use crate::random::number;
use crate::redis::Redis;
use crate::remote::SharedRemote;
use crate::settings::InvalidationSettings;

/// Invalidates entries of another service's cache. Cheap to clone.
#[derive(Clone)]
pub struct Invalidator {
    shared: Arc<Shared>,
}

struct Shared {
    names: Names,
    origin: u64,
    remote: Guarded,
    remember: Duration,
}

impl Invalidator {
    /// For the cache `name` on the settings' server, to which it connects in the background. `None` without a valid
    /// address.
    pub fn connect(name: &'static str, settings: &InvalidationSettings, random: &dyn Random) -> Option<Self> {
        let (url, timeout) = (settings.redis_url.as_ref()?, settings.command_timeout.get());
        let Some(redis) = Redis::connect(name, url, timeout) else {
            tracing::error!(cache = name, "invalid redis address, nothing is invalidated");
            return None;
        };
        Some(Self::new(name, Arc::new(redis), timeout, settings.remember.get(), random))
    }

    /// For the cache `name` on this server. Redis remembers an invalidation for the time `remember`: as long as an older
    /// value can exist.
    pub fn new(
        name: &'static str,
        remote: SharedRemote,
        command_timeout: Duration,
        remember: Duration,
        random: &dyn Random,
    ) -> Self {
        let remote = Guarded::new(remote, command_timeout);
        Self { shared: Arc::new(Shared { names: Names(name), origin: number(random), remote, remember }) }
    }

    /// Makes a key's entries below `version` old in all processes; all its entries if the version is unknown. False if
    /// Redis doesn't respond; then it may be done or not, and can be repeated.
    pub async fn invalidate(&self, key: &str, version: Option<u64>) -> bool {
        let Shared { names, origin, remote, remember } = &*self.shared;
        let message = Message { origin: *origin, version: version.filter(|version| *version > 0), key: key.into() };
        invalidation::send(remote, *names, &message, *remember).await
    }

    /// Whether Redis is connected and responds.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.shared.remote.is_up()
    }

    /// Closes the connection.
    pub async fn close(&self) {
        self.shared.remote.remote().close().await;
    }
}

impl std::fmt::Debug for Invalidator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invalidator").field("cache", &self.shared.names.0).finish_non_exhaustive()
    }
}
