//! The keys that verify tokens, by id: fetched when an unknown id is used, at most once a second, and again after ten
//! minutes, so that withdrawn keys expire.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use parking_lot::RwLock;
use tokio::time::Instant;

use super::{AuthError, KeySource};

/// Unknown key ids trigger a fetch at most this often.
pub(super) const REFETCH: Duration = Duration::from_secs(1);
/// Keys are fetched again after this time.
pub(super) const KEYS_LIVE: Duration = Duration::from_secs(600);
/// Longest key id that is looked up.
const MAX_KID: usize = 128;

/// The keys.
pub(super) struct Keyring {
    source: Arc<dyn KeySource>,
    keys: RwLock<Keys>,
    /// Held while fetching, so that concurrent unknown tokens share one fetch.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Keys {
    by_kid: HashMap<String, DecodingKey>,
    fetched: Option<Instant>,
    /// When the last attempt ended, and whether it failed.
    attempt: Option<(Instant, bool)>,
}

impl Keyring {
    pub fn new(source: Arc<dyn KeySource>) -> Self {
        Self { source, keys: RwLock::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The key with an id. The id is only compared: it never names a file, a row or an address. An id that can't be the
    /// fleet's triggers no fetch.
    pub async fn key(&self, kid: &str) -> Result<DecodingKey, AuthError> {
        let plausible = kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if !plausible || kid.len() > MAX_KID {
            return Err(AuthError::Invalid);
        }
        if let Some(key) = self.known(kid, true) {
            return Ok(key);
        }
        let _single_flight = self.fetching.lock().await;
        // Another call may have fetched while this one waited.
        if let Some(key) = self.known(kid, true) {
            return Ok(key);
        }
        let last = self.keys.read().attempt;
        let failed = match last {
            Some((ended, failed)) if ended.elapsed() < REFETCH => failed,
            _ => self.fetch().await,
        };
        // A key that is due for a refresh stays valid while identity is unavailable.
        match self.known(kid, false) {
            Some(key) => Ok(key),
            None if failed => Err(AuthError::KeysUnavailable),
            None => Err(AuthError::Invalid),
        }
    }

    fn known(&self, kid: &str, fresh: bool) -> Option<DecodingKey> {
        let keys = self.keys.read();
        let live = keys.fetched.is_some_and(|fetched| fetched.elapsed() < KEYS_LIVE);
        keys.by_kid.get(kid).filter(|_| live || !fresh).cloned()
    }

    /// Fetches all keys; returns whether that failed.
    async fn fetch(&self) -> bool {
        let answer = self.source.keys().await;
        let mut keys = self.keys.write();
        let now = Instant::now();
        match answer {
            Ok(fetched) => {
                keys.by_kid = fetched.into_iter().map(|key| (key.kid, key.key)).collect();
                keys.fetched = Some(now);
                keys.attempt = Some((now, false));
                false
            }
            Err(error) => {
                tracing::warn!(%error, "verification keys can't be fetched");
                keys.attempt = Some((now, true));
                true
            }
        }
    }
}
