//! The cache.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus::Registry;

use crate::guarded::Guarded;
use crate::metrics::{CacheMetrics, register_gauges};
use crate::redis::Redis;
use crate::settings::CacheSettings;

/// A cache of values by key, with a time to live. All users of one Redis share the keys, so start them with the service's
/// name. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    redis: Option<Guarded>,
    metrics: CacheMetrics,
}

impl Cache {
    /// Connects in the background and returns at once. `name` is the metrics' label.
    pub async fn connect(name: &'static str, settings: &CacheSettings, registry: &Registry) -> Self {
        let metrics = CacheMetrics::register_or_count_separately(name, registry);
        let redis = settings.redis_url.as_ref().and_then(|url| {
            let timeout = settings.command_timeout.get();
            let redis = Redis::connect(name, url, timeout);
            if redis.is_none() {
                tracing::error!(cache = name, "invalid redis address, all reads miss");
            }
            Some(Guarded::new(Arc::new(redis?), timeout))
        });
        let cache = Self { inner: Arc::new(Inner { redis, metrics }) };
        let inner = Arc::downgrade(&cache.inner);
        let is_up = move || inner.upgrade().is_some_and(|inner| inner.is_up());
        register_gauges(name, registry, is_up, || 0);
        cache
    }

    /// The value of a key; `None` if there is none or Redis doesn't respond.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        let metrics = &self.inner.metrics;
        let Some(redis) = &self.inner.redis else {
            metrics.miss.inc();
            return None;
        };
        match redis.get(key).await {
            Some(Some(value)) => {
                metrics.hit.inc();
                Some(value)
            }
            Some(None) => {
                metrics.miss.inc();
                None
            }
            None => {
                metrics.error.inc();
                None
            }
        }
    }

    /// Stores a value for `ttl`, if Redis responds.
    pub async fn set(&self, key: &str, value: Bytes, ttl: Duration) {
        let Some(redis) = &self.inner.redis else { return };
        self.wrote(redis.set(key, value, ttl).await);
    }

    /// Deletes a key, if Redis responds; otherwise the value stays until it expires.
    pub async fn delete(&self, key: &str) {
        let Some(redis) = &self.inner.redis else { return };
        self.wrote(redis.delete(key).await);
    }

    /// Whether Redis is connected and responds.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.inner.is_up()
    }

    /// Closes the connection; later calls are misses.
    pub async fn close(self) {
        let Some(redis) = &self.inner.redis else { return };
        redis.remote().close().await;
    }

    fn wrote(&self, done: Option<()>) {
        match done {
            Some(()) => self.inner.metrics.write_ok.inc(),
            None => self.inner.metrics.write_error.inc(),
        }
    }
}

impl Inner {
    fn is_up(&self) -> bool {
        self.redis.as_ref().is_some_and(Guarded::is_up)
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("up", &self.is_up()).finish_non_exhaustive()
    }
}
