//! Sessions: how long they last, and what a refresh token that is shown does to its session.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::user::Violation;

/// Random bytes of a refresh token.
pub const REFRESH_TOKEN_BYTES: usize = 32;

/// SHA-256 of a refresh token, which is all that is stored of it: 256 random bits need no slow hash.
pub type RefreshHash = [u8; 32];

/// The refresh token made of random bytes, as clients hold it.
#[must_use]
pub fn refresh_token(random: &[u8; REFRESH_TOKEN_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode(random)
}

/// What is stored of a refresh token.
#[must_use]
pub fn refresh_hash(token: &str) -> RefreshHash {
    Sha256::digest(token).into()
}

/// Checks what a client calls itself.
///
/// # Errors
/// It holds control characters.
pub fn check_label(label: &str) -> Result<(), Violation> {
    if label.chars().any(char::is_control) {
        return Err(Violation::new("client_label", "must not contain control characters"));
    }
    Ok(())
}

/// A session as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// What the client called itself.
    pub client_label: String,
    /// When it began.
    pub created_at: SystemTime,
    /// When it was last carried on.
    pub refreshed_at: SystemTime,
    /// When it ends unless it is carried on.
    pub expires_at: SystemTime,
}

/// How long tokens of sessions last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// An access token.
    pub access: Duration,
    /// A session that isn't carried on, and with it its refresh token.
    pub idle: Duration,
}

/// The times of one log-in or exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Now.
    pub now: SystemTime,
    /// When the session ends unless it is carried on.
    pub session_ends: SystemTime,
    /// When the access token ends.
    pub token_ends: SystemTime,
}

impl Lifetimes {
    /// The times of what begins `now`.
    #[must_use]
    pub fn from(self, now: SystemTime) -> Times {
        Times { now, session_ends: now + self.idle, token_ends: now + self.access }
    }
}

/// What is known of a refresh token that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The token that it was exchanged for.
    pub replaced_by: Option<RefreshHash>,
    /// When it ends.
    pub expires_at: SystemTime,
    /// Whether its session was ended.
    pub revoked: bool,
}

/// What becomes of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The session is carried on.
    CarryOn,
    /// It was carried on by this very exchange, whose first attempt was committed unheard.
    Done,
    /// It isn't.
    Refuse(Refusal),
}

/// Why a refresh token isn't exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No session was given it.
    Unknown,
    /// It has ended.
    Expired,
    /// Its session was ended.
    Revoked,
    /// It was used before: two hold it, so the session ends.
    Reused,
}

impl Shown {
    /// What becomes of the exchange for the token `next`.
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
