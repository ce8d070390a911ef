//! Settings of token verification, with their defaults.

use std::time::Duration;

use flotilla_config::{HumanDuration, Problems, Setting, Validate};

/// The maximum clock skew that can be configured.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Which tokens are accepted and where the keys come from.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct AuthSettings {
    /// Expected `iss`.
    pub issuer: String,
    /// Expected `aud`.
    pub audience: String,
    /// gRPC address of identity, to fetch the keys.
    pub identity_url: String,
    /// Maximum number of verified tokens cached until they expire.
    pub token_cache: usize,
    /// Tolerated clock skew: a token stays valid for this long after it expires. At most `5m`.
    pub clock_skew: HumanDuration,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            issuer: "flotilla-identity".to_owned(),
            audience: "flotilla".to_owned(),
            identity_url: "http://127.0.0.1:7101".to_owned(),
            token_cache: 10_000,
            clock_skew: HumanDuration(Duration::from_secs(30)),
        }
    }
}

impl Validate for AuthSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.issuer.is_empty(), "issuer", "must be set");
        problems.require(!self.audience.is_empty(), "audience", "must be set");
        problems.require(!self.identity_url.is_empty(), "identity_url", "must be set");
        problems.require(self.token_cache > 0, "token_cache", "must be at least 1");
        problems.require(self.clock_skew.0 <= MAX_CLOCK_SKEW, "clock_skew", "must be at most 5m");
    }
}
