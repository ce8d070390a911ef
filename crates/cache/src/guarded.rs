//! A remote with a deadline for each call, a circuit breaker, and a span.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use flotilla_telemetry::{KeyValue, Kind, Span, event};

use crate::breaker::Breaker;
use crate::remote::{RemoteError, Script, SharedRemote};

/// A remote whose calls return within the timeout, and at once while it is known to be down.
pub struct Guarded {
    remote: SharedRemote,
    breaker: Breaker,
    timeout: Duration,
}

impl Guarded {
    /// Guards `remote`; no call takes longer than `timeout`.
    pub fn new(remote: SharedRemote, timeout: Duration) -> Self {
        Self { remote, breaker: Breaker::new(), timeout }
    }

    /// The value of a key. The outer `None` means that the call failed.
    pub async fn get(&self, key: &str) -> Option<Option<Bytes>> {
        self.call("GET", self.remote.get(key)).await
    }

    /// Stores a value; `None` if it failed, and then it may be stored or not.
    pub async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Option<()> {
        self.call("SET", self.remote.set(key, value, ttl)).await
    }

    /// Deletes a key; `None` if it failed.
    pub async fn delete(&self, key: &str) -> Option<()> {
        self.call("DEL", self.remote.delete(key)).await
    }

    /// Runs a script; `None` if it failed, and then it may have run or not.
    pub async fn run(&self, script: &'static Script, keys: &[&str], args: &[Bytes]) -> Option<Vec<Bytes>> {
        self.call(script.name, self.remote.run(script, keys, args)).await
    }

    /// Whether the remote is connected and responds.
    pub fn is_up(&self) -> bool {
        self.remote.is_connected() && !self.breaker.is_open()
    }

    /// The remote itself.
    pub fn remote(&self) -> &SharedRemote {
        &self.remote
    }

    async fn call<T>(
        &self,
        name: &'static str,
        command: impl Future<Output = Result<T, RemoteError>> + Send,
    ) -> Option<T> {
        if !self.remote.is_connected() || !self.breaker.allows() {
            event("redis skipped", [KeyValue::new("db.operation.name", name)]);
            return None;
        }
        let span = Span::child(Kind::Client, name);
        span.set("db.system.name", "redis");
        span.set("db.operation.name", name);
        match tokio::time::timeout(self.timeout, span.within(command)).await {
            Ok(Ok(value)) => {
                self.breaker.succeeded();
                Some(value)
            }
            Ok(Err(error)) => {
                tracing::debug!(error = %error, "redis command failed");
                span.fail("redis", error.0);
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
