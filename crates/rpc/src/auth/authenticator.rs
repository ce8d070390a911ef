//! Checks tokens. A verified token is remembered by its hash until it expires (a signature check costs about 40 µs).

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::{AuthError, Caller, KeySource, Role};
use crate::AuthSettings;

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 4096;
/// An unknown key id asks the source for new keys at most this often.
const REFETCH: Duration = Duration::from_secs(1);
/// Keys are fetched anew after this time, so that a withdrawn key ends.
const KEYS_LIVE: Duration = Duration::from_secs(600);

type Hash = [u8; 32];
type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Checks tokens: EdDSA only; `exp`, `iss`, `aud`, `sub`, `role` and `kid` are required. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    validation: Validation,
    source: Arc<dyn KeySource>,
    now: Clock,
    keys: RwLock<Keys>,
    /// Held while fetching, so that many unknown tokens make one fetch.
    fetching: tokio::sync::Mutex<()>,
    verified: Mutex<LruCache<Hash, Caller>>,
}

#[derive(Default)]
struct Keys {
    by_kid: HashMap<String, DecodingKey>,
    fetched: Option<Instant>,
    /// When the last attempt ended, and whether it failed.
    attempt: Option<(Instant, bool)>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Uuid,
    role: Role,
    exp: u64,
}

impl Authenticator {
    /// Checks tokens of the settings' issuer for its audience with keys from `source`.
    pub fn new(settings: &AuthSettings, source: Arc<dyn KeySource>) -> Self {
        // The edge of the process: tests pass their own clock.
        #[allow(clippy::disallowed_methods)]
        Self::with_clock(settings, source, Arc::new(SystemTime::now))
    }

    /// As [`new`](Self::new), with a clock of one's own.
    pub fn with_clock(settings: &AuthSettings, source: Arc<dyn KeySource>, now: Clock) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        // The end is checked against our own clock below.
        validation.validate_exp = false;
        let capacity = NonZeroUsize::new(settings.token_cache).unwrap_or(NonZeroUsize::MIN);
        Self(Arc::new(Inner {
            validation,
            source,
            now,
            keys: RwLock::default(),
            fetching: tokio::sync::Mutex::default(),
            verified: Mutex::new(LruCache::new(capacity)),
        }))
    }

    /// Who bears `token`.
    ///
    /// # Errors
    /// The token has ended or isn't valid, or its key can't be fetched.
    pub async fn verify(&self, token: &str) -> Result<Caller, AuthError> {
        if token.len() > MAX_TOKEN {
            return Err(AuthError::Invalid);
        }
        let hash: Hash = Sha256::digest(token).into();
        if let Some(answer) = self.remembered(&hash) {
            return answer;
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid)?;
        let kid = header.kid.filter(|_| header.alg == Algorithm::EdDSA).ok_or(AuthError::Invalid)?;
        let key = self.0.key(&kid).await?;
        let caller = self.0.check(token, &key)?;
        self.0.verified.lock().put(hash, caller);
        Ok(caller)
    }

    /// The answer for a token that was verified before, without waiting.
    pub(crate) fn recall(&self, token: &str) -> Option<Result<Caller, AuthError>> {
        if token.len() > MAX_TOKEN {
            return Some(Err(AuthError::Invalid));
        }
        self.remembered(&Sha256::digest(token).into())
    }

    /// Forgets a user's verified tokens, so that each is checked anew (after a revocation).
    pub fn forget(&self, user: Uuid) {
        let mut verified = self.0.verified.lock();
        let theirs: Vec<Hash> =
            verified.iter().filter(|(_, caller)| caller.user == user).map(|(hash, _)| *hash).collect();
        for hash in theirs {
            verified.pop(&hash);
        }
    }

    fn remembered(&self, hash: &Hash) -> Option<Result<Caller, AuthError>> {
        let mut verified = self.0.verified.lock();
        let caller = *verified.get(hash)?;
        if caller.expires > (self.0.now)() {
            return Some(Ok(caller));
        }
        verified.pop(hash);
        Some(Err(AuthError::Expired))
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}

impl Inner {
    fn check(&self, token: &str, key: &DecodingKey) -> Result<Caller, AuthError> {
        let data = jsonwebtoken::decode::<Claims>(token, key, &self.validation).map_err(|_| AuthError::Invalid)?;
        let Claims { sub, role, exp } = data.claims;
        let expires = UNIX_EPOCH.checked_add(Duration::from_secs(exp)).ok_or(AuthError::Invalid)?;
        if expires <= (self.now)() {
            return Err(AuthError::Expired);
        }
        Ok(Caller { user: sub, role, expires })
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, AuthError> {
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
        // A key that is due for renewal serves on while identity is away.
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
                tracing::warn!(%error, "verifying keys could not be fetched");
                keys.attempt = Some((now, true));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
