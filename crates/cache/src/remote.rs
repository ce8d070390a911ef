//! The Redis client as the rest of this crate sees it: a few commands, scripts, and a subscription.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

/// A shared remote.
pub type SharedRemote = Arc<dyn Remote>;

/// A Redis server, or something that behaves like one.
///
/// Implementations bound no wait and count no failure: [`Guarded`](crate::guarded::Guarded) does. All of them pass the
/// same suite of tests: `crates/cache/tests/it/contract.rs`.
#[async_trait]
pub trait Remote: Send + Sync + 'static {
    /// The value of a key.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, RemoteError>;

    /// Stores a value that expires after `ttl` (in whole milliseconds, at least one).
    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), RemoteError>;

    /// Deletes a key.
    async fn delete(&self, key: &str) -> Result<(), RemoteError>;

    /// Runs a script atomically. All scripts return a list of strings.
    async fn run(&self, script: &'static Script, keys: &[&str], args: &[Bytes]) -> Result<Vec<Bytes>, RemoteError>;

    /// Sends a message to the channel's present subscribers.
    async fn publish(&self, channel: &str, message: Bytes) -> Result<(), RemoteError>;

    /// Subscribes to a channel, again after each loss of the connection, until the receiver is dropped.
    fn subscribe(&self, channel: &str) -> mpsc::Receiver<Notice>;

    /// Whether the connection is up.
    fn is_connected(&self) -> bool;

    /// Closes the connections.
    async fn close(&self);
}

/// A command failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct RemoteError(pub String);

/// What a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The subscription is active; messages from before may be lost.
    Subscribed,
    /// A message.
    Message(Bytes),
}

/// A Lua script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// Name: of the span, and for implementations without Lua.
    pub name: &'static str,
    /// Source.
    pub lua: &'static str,
}
