//! Sessions: how long they last, and what happens to a session when one of its refresh tokens is used.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::user::Violation;

/// Number of random bytes of a refresh token.
pub const REFRESH_TOKEN_BYTES: usize = 32;

/// SHA-256 of a refresh token. Only the hash is stored; 256 random bits need no slow hash.
pub type RefreshHash = [u8; 32];

/// The refresh token that clients get, made of random bytes.
#[must_use]
pub fn refresh_token(random: &[u8; REFRESH_TOKEN_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode(random)
}

/// The stored hash of a refresh token.
#[must_use]
pub fn refresh_hash(token: &str) -> RefreshHash {
    Sha256::digest(token).into()
}

/// Checks a client's name for itself.
///
/// # Errors
/// It contains control characters.
pub fn check_label(label: &str) -> Result<(), Violation> {
    if label.chars().any(char::is_control) {
        return Err(Violation::new("client_label", "must not contain control characters"));
    }
    Ok(())
}

/// A session as shown to its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// The client's name for itself.
    pub client_label: String,
    /// When it began.
    pub created_at: SystemTime,
    /// When it was last extended.
    pub refreshed_at: SystemTime,
    /// When it ends unless it is extended.
    pub expires_at: SystemTime,
}

/// The lifetimes of a session's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// An access token.
    pub access: Duration,
    /// A session that isn't extended, and its refresh token.
    pub idle: Duration,
}

/// The times of one log-in or exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Now.
    pub now: SystemTime,
    /// When the session ends unless it is extended.
    pub session_ends: SystemTime,
    /// When the access token expires.
    pub token_ends: SystemTime,
}

impl Lifetimes {
    /// The times of a log-in or exchange at `now`.
    #[must_use]
    pub fn from(self, now: SystemTime) -> Times {
        Times { now, session_ends: now + self.idle, token_ends: now + self.access }
    }
}

/// The stored state of a presented refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The token that it was exchanged for.
    pub replaced_by: Option<RefreshHash>,
    /// When it expires.
    pub expires_at: SystemTime,
    /// Whether its session has ended.
    pub revoked: bool,
}

/// The outcome of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The session is extended.
    CarryOn,
    /// It was already extended by this same exchange: the first attempt was committed, but its response was lost.
    Done,
    /// The exchange is refused.
    Refuse(Refusal),
}

/// Why the exchange of a refresh token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It belongs to no session.
    Unknown,
    /// It has expired.
    Expired,
    /// Its session has ended.
    Revoked,
    /// It was used before: two parties have it, so the session is ended.
    Reused,
}

impl Shown {
    /// Decides about the exchange for the token `next`.
    #[must_use]
    pub fn judge(&self, next: &RefreshHash, now: SystemTime) -> Verdict {
        match self.replaced_by {
            _ if self.revoked => Verdict::Refuse(Refusal::Revoked),
            Some(replaced_by) if replaced_by == *next => Verdict::Done,
            Some(_) => Verdict::Refuse(Refusal::Reused),
            None if self.expires_at <= now => Verdict::Refuse(Refusal::Expired),
            None => Verdict::CarryOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const NEXT: RefreshHash = [9; 32];

    fn shown() -> Shown {
        Shown { replaced_by: None, expires_at: NOW + Duration::from_secs(1), revoked: false }
    }

    #[test]
    fn a_fresh_token_carries_its_session_on_once() {
        assert_eq!(shown().judge(&NEXT, NOW), Verdict::CarryOn);
        let used = Shown { replaced_by: Some([8; 32]), ..shown() };
        assert_eq!(used.judge(&NEXT, NOW), Verdict::Refuse(Refusal::Reused));
        let by_us = Shown { replaced_by: Some(NEXT), ..shown() };
        assert_eq!(by_us.judge(&NEXT, NOW), Verdict::Done);
    }

    #[test]
    fn a_token_ends_with_its_time_and_with_its_session() {
        let late = Shown { expires_at: NOW, ..shown() };
        assert_eq!(late.judge(&NEXT, NOW), Verdict::Refuse(Refusal::Expired));
        for replaced_by in [None, Some([8; 32]), Some(NEXT)] {
            let ended = Shown { replaced_by, revoked: true, ..shown() };
            assert_eq!(ended.judge(&NEXT, NOW), Verdict::Refuse(Refusal::Revoked));
        }
    }

    #[test]
    fn a_refresh_token_is_its_random_bytes_and_nothing_else() {
        let token = refresh_token(&[0xff; REFRESH_TOKEN_BYTES]);
        assert_eq!(token.len(), 43);
        assert_eq!(refresh_hash(&token), refresh_hash(&refresh_token(&[0xff; 32])));
        assert_ne!(refresh_hash(&token), refresh_hash(&refresh_token(&[0xfe; 32])));
    }

    #[test]
    fn labels_are_plain_text() {
        assert_eq!(check_label("Ann's télephone"), Ok(()));
        assert_eq!(check_label("a\0b").map_err(|violation| violation.field), Err("client_label"));
    }
}
