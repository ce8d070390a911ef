//! Verified tokens and ended sessions, under one lock, so that a token is never cached after its session has ended.
//!
//! Guarantees: at most as many tokens as configured, and fewer if memory is limited; an ended session is kept only
//! until its last access token has expired, so there are at most as many as sessions can be opened in that time.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use flotilla_cgroup::Limits;
use lru::LruCache;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{AuthError, Caller, Revoked};

/// The memory of a cached token in bytes: hash, caller, and entries in list and table.
const TOKEN_BYTES: u64 = 256;
/// The divisor of limited memory that gives the tokens' part.
const MEMORY_PART: u64 = 32;

/// SHA-256 of a token: cached values can't be used as tokens.
pub(super) type Hash = [u8; 32];

/// The cache.
pub(super) struct Verified {
    state: Mutex<State>,
    /// The tolerated clock skew.
    skew: Duration,
}

struct State {
    tokens: LruCache<Hash, Caller>,
    /// Ended sessions, with the expiry of their last access token.
    revoked: HashMap<Uuid, SystemTime>,
}

impl Verified {
    pub fn new(capacity: usize, skew: Duration) -> Self {
        let capacity = Limits::of_process().pieces(capacity, TOKEN_BYTES, MEMORY_PART);
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        let state = State { tokens: LruCache::new(capacity), revoked: HashMap::new() };
        Self { state: Mutex::new(state), skew }
    }

    /// The cached caller of a token; `None` if it wasn't verified yet, or if its session has ended since.
    pub fn get(&self, hash: &Hash, now: SystemTime) -> Option<Result<Caller, AuthError>> {
        let mut state = self.state.lock();
        let caller = *state.tokens.get(hash)?;
        if self.lives(caller.expires, now) {
            return Some(Ok(caller));
        }
        state.tokens.pop(hash);
        Some(Err(AuthError::Expired))
    }

    /// Caches a verified token, unless its session has ended.
    pub fn put(&self, hash: Hash, caller: Caller) -> Result<Caller, AuthError> {
        let mut state = self.state.lock();
        if state.revoked.contains_key(&caller.session) {
            return Err(AuthError::Revoked);
        }
        state.tokens.put(hash, caller);
        Ok(caller)
    }

    /// Ends sessions: their tokens are removed and refused from now on.
    pub fn revoke(&self, ended: &[Revoked], now: SystemTime) {
        let mut state = self.state.lock();
        let State { tokens, revoked } = &mut *state;
        let mut news = false;
        for session in ended.iter().filter(|session| self.lives(session.until, now)) {
            news |= revoked.insert(session.session, session.until).is_none();
        }
        if news {
            let theirs = tokens.iter().filter(|(_, caller)| revoked.contains_key(&caller.session));
            let theirs: Vec<Hash> = theirs.map(|(hash, _)| *hash).collect();
            for hash in theirs {
                tokens.pop(&hash);
            }
        }
    }

    /// Forgets sessions that no valid token can belong to.
    pub fn prune(&self, now: SystemTime) {
        self.state.lock().revoked.retain(|_, until| self.lives(*until, now));
    }

    /// Whether a token that expires at `end` may still be valid by another machine's clock.
    pub fn lives(&self, end: SystemTime, now: SystemTime) -> bool {
        end.checked_add(self.skew).is_none_or(|end| end > now)
    }

    #[cfg(test)]
    pub fn revoked(&self) -> usize {
        self.state.lock().revoked.len()
    }
}
