//! Invalidations between processes: a message by Pub/Sub with origin, version and key.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::guarded::Guarded;
use crate::names::Names;
use crate::record;
use crate::remote::Notice;
use crate::scripts;
use crate::shared::Shared;
use crate::value::Value;

const ORIGIN: usize = 16;
const VERSION: usize = 20;

/// An invalidation.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The process that sends it.
    pub origin: u64,
    /// Entries below this version are old; `None` if all of them are.
    pub version: Option<u64>,
    /// The key.
    pub key: Arc<str>,
}

impl Message {
    /// As it is published.
    pub fn encode(&self) -> Bytes {
        format!("{:016x}{:020}{}", self.origin, self.version.unwrap_or_default(), self.key).into()
    }

    /// Parses a message; `None` if it has another format.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let origin = u64::from_str_radix(text.get(..ORIGIN)?, 16).ok()?;
        let version: u64 = text.get(ORIGIN..ORIGIN + VERSION)?.parse().ok()?;
        let key = text.get(ORIGIN + VERSION..)?.into();
        Some(Self { origin, version: (version > 0).then_some(version), key })
    }
}

/// Tells Redis of an invalidation, which remembers it for the time `remember` and tells the subscribers. True if it has
/// done so.
pub(crate) async fn send(remote: &Guarded, names: Names, message: &Message, remember: Duration) -> bool {
    let args = [
        record::version(message.version.unwrap_or_default()),
        record::rest(Duration::ZERO, Duration::ZERO, &[]),
        record::ttl(remember),
        names.channel_argument(),
        message.encode(),
    ];
    let [entry, lease] = names.keys(&message.key);
    remote.run(&scripts::INVALIDATE, &[&entry, &lease], &args).await.is_some()
}

/// Applies what other processes publish until the cache is gone.
pub(crate) async fn follow<V: Value>(cache: Weak<Shared<V>>, mut notices: mpsc::Receiver<Notice>) {
    while let Some(notice) = notices.recv().await {
        let Some(cache) = cache.upgrade() else { return };
        match notice {
            Notice::Message(message) => match Message::parse(&message) {
                Some(message) if message.origin == cache.origin => {}
                Some(message) => {
                    cache.metrics.invalidated_elsewhere.inc();
                    cache.memory.invalidate(&message.key, message.version, false);
                }
                None => cache.flush(),
            },
            Notice::Subscribed => {
                // Messages may be lost: what is in memory may be old.
                cache.flush();
                for key in cache.memory.all_unsent() {
                    cache.send_invalidation(&key).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_parsed_as_it_was_encoded() {
        for version in [None, Some(1), Some(u64::MAX)] {
            let message = Message { origin: u64::MAX - 7, version, key: "products/tea ä".into() };
            assert_eq!(Message::parse(&message.encode()), Some(message));
        }
        assert_eq!(Message::parse(b"short"), None);
        assert_eq!(Message::parse(&[0xff; 60]), None);
    }
}
