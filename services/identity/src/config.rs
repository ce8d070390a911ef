//! The settings of identity, section by section.

use std::time::Duration;

use flotilla_auth::MAX_CLOCK_SKEW;
use flotilla_cgroup::Limits;
use flotilla_config::{HumanDuration, Problems, SecretString, Setting, Validate};
use flotilla_service::CommonSettings;

use crate::domain::session::Lifetimes;

/// Hashes may use at most the memory limit divided by this.
const HASH_PART: u64 = 2;

/// The minimum work for a hash in production, in KiB times iterations: the weakest of OWASP's recommendations.
const LEAST_WORK: u64 = 35_840;
/// Maximum lifetime of a session that isn't extended.
const MAX_SESSION: Duration = Duration::from_secs(400 * 24 * 3600);

/// All settings of identity. Variables: `FLOTILLA__<SECTION>__<FIELD>`.
#[derive(Clone, Debug, Setting)]
pub struct Settings {
    /// What every service has.
    #[setting(flatten)]
    pub common: CommonSettings,
    /// Tokens.
    #[setting(default)]
    pub auth: AuthSettings,
    /// The first operator.
    #[setting(default)]
    pub admin: AdminSettings,
    /// Password hashing.
    #[setting(default)]
    pub passwords: PasswordSettings,
    /// Free failures before wrong passwords are throttled.
    #[setting(default)]
    pub guessing: GuessingSettings,
}

/// Which tokens are made and accepted.
#[derive(Clone, Debug, Setting)]
#[setting(default)]
pub struct AuthSettings {
    /// `iss` of tokens.
    pub issuer: String,
    /// `aud` of tokens.
    pub audience: String,
    /// Lifetime of an access token.
    pub token_lifetime: HumanDuration,
    /// Lifetime of a session, and of its refresh token, unless it is extended.
    pub session_lifetime: HumanDuration,
    /// How long a new signing key is published before it is used, so that every replica knows it by then.
    pub key_lead: HumanDuration,
    /// Tolerated clock skew: a token stays valid for this long after it expires. At most `5m`.
    pub clock_skew: HumanDuration,
    /// Ignored: identity has the keys itself. Accepted so that all services can share one environment.
    pub identity_url: String,
    /// Maximum number of verified tokens cached until they expire.
    pub token_cache: usize,
}

impl Default for AuthSettings {
    fn default() -> Self {
        let shared = flotilla_auth::AuthSettings::default();
        Self {
            issuer: shared.issuer,
            audience: shared.audience,
            token_lifetime: HumanDuration::from_secs(15 * 60),
            session_lifetime: HumanDuration::from_secs(30 * 24 * 3600),
            key_lead: HumanDuration::from_secs(10),
            clock_skew: shared.clock_skew,
            identity_url: shared.identity_url,
            token_cache: shared.token_cache,
        }
    }
}

impl AuthSettings {
    /// How long sessions and their tokens last.
    pub fn lifetimes(&self) -> Lifetimes {
        Lifetimes { access: self.token_lifetime.get(), idle: self.session_lifetime.get() }
    }

    /// The settings for checking tokens.
    pub fn verification(&self) -> flotilla_auth::AuthSettings {
        flotilla_auth::AuthSettings {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            identity_url: self.identity_url.clone(),
            token_cache: self.token_cache,
            clock_skew: self.clock_skew,
        }
    }
}

/// The operator that is made at the first start; none unless both are set.
#[derive(Clone, Debug, Default, Setting)]
#[setting(default)]
pub struct AdminSettings {
    /// E-mail address.
    pub email: Option<String>,
    /// Password, of 8 to 256 characters.
    pub password: Option<SecretString>,
}

/// How many wrong passwords are free. Beyond them, waits double from one second on.
#[derive(Clone, Copy, Debug, Setting)]
#[setting(default)]
pub struct GuessingSettings {
    /// For one account from one network (an IPv4 address, an IPv6 /64). One failure expires per hour. The maximum delay
    /// is an hour.
    pub per_account_and_network: u32,
    /// From one network (an IPv4 address, an IPv6 /48), whatever the account. One failure expires per minute. The
    /// maximum delay is 15 minutes.
    pub per_network: u32,
    /// For one account, whatever the network. One failure expires every five minutes. The maximum delay is 15 minutes.
    pub per_account: u32,
}

impl Default for GuessingSettings {
    fn default() -> Self {
        Self { per_account_and_network: 5, per_network: 50, per_account: 100 }
    }
}

/// The work on passwords: Argon2id, by default as OWASP advises.
#[derive(Clone, Copy, Debug, Setting)]
#[setting(default)]
pub struct PasswordSettings {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Number of passes.
    pub iterations: u32,
    /// Number of lanes.
    pub parallelism: u32,
    /// Maximum number of concurrent hashes; fewer if the control group has less than a CPU and 39 MiB for each.
    pub concurrent: usize,
    /// Maximum number of callers that wait for a hash.
    pub queue: usize,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1, concurrent: 2, queue: 256 }
    }
}

impl PasswordSettings {
    /// These settings within limits: no more concurrent hashes than there are processors, and than fit into half of a
    /// limited memory.
    #[must_use]
    pub fn within(self, limits: &Limits) -> Self {
        let fit = limits.pieces(self.concurrent, u64::from(self.memory_kib) << 10, HASH_PART);
        Self { concurrent: fit.min(limits.threads()), ..self }
    }
}

impl PasswordSettings {
    /// Checks that one hash leaves memory for the rest of the service: otherwise the first log-in would get it
    /// OOM-killed.
    fn fits(self, memory: Option<u64>) -> Result<(), String> {
        let Some(memory) = memory else { return Ok(()) };
        let most = (memory / HASH_PART) >> 10;
        if u64::from(self.memory_kib) <= most {
            return Ok(());
        }
        Err(format!("must be at most {most}, half of the available memory ({} MiB)", memory >> 20))
    }
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        if self.common.process.service.environment.is_production() {
            let work = u64::from(self.passwords.memory_kib) * u64::from(self.passwords.iterations);
            problems.require(
                work >= LEAST_WORK,
                "passwords.memory_kib",
                format!("times iterations must be at least {LEAST_WORK}"),
            );
        }
    }
}

impl Validate for AuthSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.issuer.is_empty(), "issuer", "must be set");
        problems.require(!self.audience.is_empty(), "audience", "must be set");
        let (access, idle) = (self.token_lifetime.get(), self.session_lifetime.get());
        problems.require((1..=86_400).contains(&access.as_secs()), "token_lifetime", "must be from 1s to 24h");
        let sound = (access..=MAX_SESSION).contains(&idle);
        problems.require(sound, "session_lifetime", "must be from token_lifetime to 400d");
        let lead = (1..=600).contains(&self.key_lead.get().as_secs());
        problems.require(lead, "key_lead", "must be from 1s to 10m");
        problems.require(self.clock_skew.get() <= MAX_CLOCK_SKEW, "clock_skew", "must be at most 5m");
    }
}

impl Validate for AdminSettings {
    fn validate(&self, problems: &mut Problems) {
        let whole = self.email.is_some() == self.password.is_some();
        problems.require(whole, "email", "e-mail and password must both be set, or neither");
    }
}

impl Validate for GuessingSettings {
    fn validate(&self, problems: &mut Problems) {
        let counts = [
            ("per_account_and_network", self.per_account_and_network),
            ("per_network", self.per_network),
            ("per_account", self.per_account),
        ];
        for (name, count) in counts {
            problems.require((1..=10_000).contains(&count), name, "must be from 1 to 10000");
        }
    }
}

impl Validate for PasswordSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require((1..=64).contains(&self.concurrent), "concurrent", "must be from 1 to 64");
        problems.require(self.queue <= 100_000, "queue", "must be at most 100000");
        problems.require(self.iterations <= 100, "iterations", "must be at most 100: a log-in would take minutes");
        let taken = argon2::Params::new(self.memory_kib, self.iterations, self.parallelism, None).is_ok();
        problems.require(taken, "memory_kib", "is, with iterations and parallelism, outside of what Argon2 takes");
        if let Err(message) = self.fits(Limits::of_process().available_memory()) {
            problems.add("memory_kib", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_processor_and_64_mib_hash_one_password_at_a_time() {
        let at_once = |cores, memory| PasswordSettings::default().within(&Limits { cores, memory }).concurrent;
        assert_eq!([at_once(0.5, Some(64 << 20)), at_once(2.0, None), at_once(8.0, Some(64 << 20))], [1, 2, 1]);
    }

    #[test]
    fn a_hash_beyond_the_memory_there_is_is_refused() {
        let fits = |memory_kib, memory| PasswordSettings { memory_kib, ..PasswordSettings::default() }.fits(memory);
        assert_eq!(fits(19_456, Some(64 << 20)), Ok(()));
        let refused = "must be at most 32768, half of the available memory (64 MiB)";
        assert_eq!(fits(32_769, Some(64 << 20)), Err(refused.to_owned()));
        assert_eq!(fits(u32::MAX, None), Ok(()));
        let mut problems = Problems::default();
        PasswordSettings { memory_kib: u32::MAX, ..PasswordSettings::default() }.validate(&mut problems);
        let found = problems.found();
        assert!(found.iter().any(|problem| problem.message.contains("of the available memory")), "{found:?}");
    }
}
