//! Tokens that were verified before, and the sessions that have ended since: under one lock, so that a token is never
//! remembered behind the back of its session's end.
//!
//! Guarantees: at most so many tokens as the settings say, and fewer where memory is limited; a session that has ended is kept only until its last access
//! token can no longer be alive, so there are at most as many as sessions can be opened in that time.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use flotilla_cgroup::Limits;
use lru::LruCache;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{AuthError, Caller, Revoked};

/// What a remembered token takes, in bytes: hash, caller and its place in list and table.
const TOKEN_BYTES: u64 = 256;
/// The part of a limited memory that the tokens may fill: a thirty-second.
const MEMORY_PART: u64 = 32;

/// SHA-256 of a token: what is remembered can't be used as one.
pub(super) type Hash = [u8; 32];

/// The memory.
pub(super) struct Verified {
    state: Mutex<State>,
    /// How far clocks may be apart.
    skew: Duration,
}

struct State {
    tokens: LruCache<Hash, Caller>,
    /// Sessions that have ended, with when their last access token does.
    revoked: HashMap<Uuid, SystemTime>,
}

impl Verified {
    pub fn new(capacity: usize, skew: Duration) -> Self {
        let capacity = Limits::of_process().pieces(capacity, TOKEN_BYTES, MEMORY_PART);
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        let state = State { tokens: LruCache::new(capacity), revoked: HashMap::new() };
        Self { state: Mutex::new(state), skew }
    }

    /// What is known of a token; nothing of one that wasn't verified yet, or whose session has ended since.
    pub fn get(&self, hash: &Hash, now: SystemTime) -> Option<Result<Caller, AuthError>> {
        let mut state = self.state.lock();
        let caller = *state.tokens.get(hash)?;
        if self.lives(caller.expires, now) {
            return Some(Ok(caller));
        }
        state.tokens.pop(hash);
        Some(Err(AuthError::Expired))
    }

    /// Remembers a token that was verified, unless its session has ended.
    pub fn put(&self, hash: Hash, caller: Caller) -> Result<Caller, AuthError> {
        let mut state = self.state.lock();
        if state.revoked.contains_key(&caller.session) {
            return Err(AuthError::Revoked);
        }
        state.tokens.put(hash, caller);
        Ok(caller)
    }

    /// Ends sessions: their tokens are forgotten now and refused from now on.
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

    /// Forgets sessions that no living token can belong to.
    pub fn prune(&self, now: SystemTime) {
        self.state.lock().revoked.retain(|_, until| self.lives(*until, now));
    }

    /// Whether what ends at `end` may still be alive by the clock of another.
    pub fn lives(&self, end: SystemTime, now: SystemTime) -> bool {
        end.checked_add(self.skew).is_none_or(|end| end > now)
    }

    #[cfg(test)]
    pub fn revoked(&self) -> usize {
        self.state.lock().revoked.len()
    }
}
