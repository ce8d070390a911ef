//! The cache.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_config::{ExposeSecret, SecretString};
use flotilla_telemetry::{KeyValue, Kind, Span, event};
use fred::prelude::{
    Builder, Client, ClientLike, Config, Error, EventInterface, Expiration, KeysInterface, ReconnectPolicy,
};
use fred::types::ConnectHandle;
use fred::types::config::UnresponsiveConfig;
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::breaker::Breaker;
use crate::metrics::{CacheMetrics, register_up};
use crate::settings::CacheSettings;

/// Timeout of closing the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of commands waiting to be sent; further ones fail at once.
const QUEUE: usize = 4_096;

/// A cache of values by key, with a time to live. All users of one Redis share the keys, so start them with the service's
/// name. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    redis: Option<Redis>,
    metrics: CacheMetrics,
}

struct Redis {
    client: Client,
    breaker: Breaker,
    timeout: Duration,
    tasks: Mutex<Option<(ConnectHandle, JoinHandle<()>)>>,
}

impl Cache {
    /// Connects in the background and returns at once. `name` is the metrics' label.
    pub async fn connect(name: &'static str, settings: &CacheSettings, registry: &Registry) -> Self {
        let metrics = CacheMetrics::register(name, registry)
            .or_else(|error| {
                tracing::error!(cache = name, error = %error, "cache metrics not registered");
                CacheMetrics::register(name, &Registry::new())
            })
            .expect("the names of the metrics are valid, and a new registry has none yet");
        let redis = settings.redis_url.as_ref().and_then(|url| {
            let redis = Redis::connect(name, url, settings.command_timeout.get());
            if redis.is_none() {
                tracing::error!(cache = name, "invalid redis address, all reads miss");
            }
            redis
        });
        let cache = Self { inner: Arc::new(Inner { redis, metrics }) };
        let inner = Arc::downgrade(&cache.inner);
        let is_up = move || inner.upgrade().is_some_and(|inner| inner.is_up());
        if let Err(error) = register_up(name, registry, is_up) {
            tracing::error!(cache = name, error = %error, "cache metrics not registered");
        }
        cache
    }

    /// The value of a key; `None` if there is none or Redis doesn't respond.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        let metrics = &self.inner.metrics;
        let Some(redis) = &self.inner.redis else {
            metrics.miss.inc();
            return None;
        };
        match redis.call("GET", redis.client.get::<Option<Bytes>, _>(key)).await {
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
        let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1);
        let done =
            redis.call("SET", redis.client.set::<(), _, _>(key, value, Some(Expiration::PX(ttl)), None, false)).await;
        self.wrote(done);
    }

    /// Deletes a key, if Redis responds; otherwise the value stays until it expires.
    pub async fn delete(&self, key: &str) {
        let Some(redis) = &self.inner.redis else { return };
        let done = redis.call("DEL", redis.client.del::<(), _>(key)).await;
        self.wrote(done);
    }

    /// Whether Redis is connected and responds.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.inner.is_up()
    }

    /// Closes the connection; later calls are misses.
    pub async fn close(self) {
        let Some(redis) = &self.inner.redis else { return };
        let tasks = redis.tasks.lock().take();
        let Some((connection, watch)) = tasks else { return };
        let abort = connection.abort_handle();
        let quit = async {
            if let Err(error) = redis.client.quit().await {
                tracing::debug!(error = %error, "redis connection did not quit");
            }
            // An error here only means that it wasn't connected.
            let _ = connection.await;
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, quit).await.is_err() {
            abort.abort();
        }
        watch.abort();
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
        self.redis.as_ref().is_some_and(|redis| redis.client.is_connected() && !redis.breaker.is_open())
    }
}

impl Redis {
    fn connect(name: &'static str, url: &SecretString, timeout: Duration) -> Option<Self> {
        let mut config = parse_url(url)?;
        // The first connection is retried until it succeeds, like any later one.
        config.fail_fast = false;
        let client = Builder::from_config(config)
            .set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2))
            .with_performance_config(|performance| performance.default_command_timeout = timeout)
            .with_connection_config(|connection| {
                connection.connection_timeout = Duration::from_secs(2);
                connection.internal_command_timeout = Duration::from_secs(2);
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = QUEUE;
                connection.reconnect_on_auth_error = true;
                connection.tcp.nodelay = Some(true);
                // Reconnects to a server that accepts commands but doesn't respond.
                connection.unresponsive =
                    UnresponsiveConfig { max_timeout: Some(Duration::from_secs(3)), interval: Duration::from_secs(1) };
            })
            .build()
            .ok()?;
        let watch = flotilla_telemetry::spawn(watch(name, client.clone()));
        let connection = client.connect();
        Some(Self { client, breaker: Breaker::new(), timeout, tasks: Mutex::new(Some((connection, watch))) })
    }

    /// Sends a command unless Redis is known to be down; `None` if it fails.
    async fn call<T>(&self, name: &'static str, command: impl Future<Output = Result<T, Error>>) -> Option<T> {
        if !self.client.is_connected() || !self.breaker.allows() {
            event("redis skipped", [KeyValue::new("db.operation.name", name)]);
            return None;
        }
        let span = Span::child(Kind::Client, name);
        span.set("db.system.name", "redis");
        span.set("db.operation.name", name);
        // The client has the same timeout for the response, but not for its own queue.
        match tokio::time::timeout(self.timeout, span.within(command)).await {
            Ok(Ok(value)) => {
                self.breaker.succeeded();
                Some(value)
            }
            Ok(Err(error)) => {
                tracing::debug!(error = %error, "redis command failed");
                span.fail("redis", error.details().to_owned());
                self.breaker.failed();
                None
            }
            Err(_) => {
                span.fail("timeout", "no response in time");
                self.breaker.failed();
                None
            }
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some((connection, watch)) = self.tasks.lock().take() {
            connection.abort();
            watch.abort();
        }
    }
}

/// Logs when Redis becomes unavailable and available, once each, however often connecting fails.
async fn watch(name: &'static str, client: Client) {
    let (mut errors, mut connections) = (client.error_rx(), client.reconnect_rx());
    let mut logged_down = false;
    loop {
        tokio::select! {
            error = errors.recv() => match error {
                Ok((error, _)) if !logged_down => {
                    tracing::warn!(cache = name, error = %error, "redis is failing, reads may miss");
                    logged_down = true;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            connected = connections.recv() => match connected {
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    tracing::info!(cache = name, "redis is connected");
                    logged_down = false;
                }
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// Parses an address, which may contain a password, without quoting it.
pub(crate) fn parse_url(url: &SecretString) -> Option<Config> {
    Config::from_url(url.expose_secret()).ok()
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("up", &self.is_up()).finish_non_exhaustive()
    }
}
