//! Checks tokens. A verified token is cached by its hash until it expires (a signature check costs about 40 µs).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use flotilla_clock::{Clock, SystemClock};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::keyring::Keyring;
use super::verified::Verified;
use super::{AuthError, Caller, KeySource, Revoked, Role};
use crate::AuthSettings;

/// Longest token that is checked, in bytes.
const MAX_TOKEN: usize = 4096;

/// Checks tokens: EdDSA only; `exp`, `iss`, `aud`, `sub`, `sid`, `role` and `kid` are required; keys come only from
/// identity, whatever keys a token's header names. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    validation: Validation,
    keys: Keyring,
    clock: Arc<dyn Clock>,
    skew: Duration,
    verified: Verified,
}

/// The claims of a token. Times are whole seconds; text instead of a number is refused.
#[derive(Deserialize)]
struct Claims {
    sub: Uuid,
    sid: Uuid,
    role: Role,
    exp: u64,
    #[serde(default)]
    iat: u64,
    #[serde(default)]
    nbf: u64,
}

impl Authenticator {
    /// Checks tokens of the settings' issuer for its audience with keys from `source`.
    pub fn new(settings: &AuthSettings, source: Arc<dyn KeySource>) -> Self {
        Self::with_clock(settings, source, Arc::new(SystemClock))
    }

    /// As [`new`](Self::new), with a given clock.
    pub fn with_clock(settings: &AuthSettings, source: Arc<dyn KeySource>, clock: Arc<dyn Clock>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        // Times are checked against the clock below.
        validation.validate_exp = false;
        let skew = settings.clock_skew.0;
        let verified = Verified::new(settings.token_cache, skew);
        Self(Arc::new(Inner { validation, keys: Keyring::new(source), clock, skew, verified }))
    }

    /// Verifies `token` and returns its caller.
    ///
    /// # Errors
    /// The token has expired, its session has ended, it isn't valid, or its key can't be fetched.
    pub async fn verify(&self, token: &str) -> Result<Caller, AuthError> {
        if let Some(answer) = self.recall(token) {
            return answer;
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid)?;
        // Critical header parameters must be understood, and none are supported (RFC 7515, 4.1.11).
        let ours = header.alg == Algorithm::EdDSA && header.crit.is_none();
        let kid = header.kid.filter(|_| ours).ok_or(AuthError::Invalid)?;
        let key = self.0.keys.key(&kid).await?;
        let caller = self.0.check(token, &key)?;
        self.0.verified.put(Sha256::digest(token).into(), caller)
    }

    /// The result for a token that was verified before, without waiting.
    pub fn recall(&self, token: &str) -> Option<Result<Caller, AuthError>> {
        if token.len() > MAX_TOKEN {
            return Some(Err(AuthError::Invalid));
        }
        self.0.verified.get(&Sha256::digest(token).into(), self.0.clock.now())
    }

    /// Refuses the tokens of these sessions from now on.
    pub fn revoke(&self, ended: &[Revoked]) {
        self.0.verified.revoke(ended, self.0.clock.now());
    }

    /// Forgets ended sessions that no valid token can belong to.
    pub(super) fn forget_ended(&self) {
        self.0.verified.prune(self.0.clock.now());
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
        let Claims { sub, sid, role, exp, iat, nbf } = data.claims;
        let now = self.clock.now();
        let at = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(AuthError::Invalid);
        if at(iat.max(nbf))? > now + self.skew {
            return Err(AuthError::Invalid);
        }
        let expires = at(exp)?;
        // An expiry too far in the future to be represented is invalid.
        expires.checked_add(self.skew).ok_or(AuthError::Invalid)?;
        if !self.verified.lives(expires, now) {
            return Err(AuthError::Expired);
        }
        Ok(Caller { user: sub, session: sid, role, expires })
    }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
