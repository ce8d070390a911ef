//! Throttles attempts at secrets: after failures, further attempts must wait for growing times, before any expensive
//! work.
//!
//! Failures are counted per account and network, per network over all accounts, and per account over all networks
//! (`docs/security.md` explains these three). An existing account is counted by its user, so that neither another
//! spelling of the address nor a change of it resets the counter; an unknown account is counted by the address.
//! Guarantees: an attempt during a wait costs no hash; failures for an account from elsewhere don't keep its user out
//! of a network where they have signed in before; unknown accounts are counted like existing ones; all replicas share
//! the counters. Storage is bounded: a row is written only together with a password hash, rows expire, and a replica's
//! cache has a fixed size.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use flotilla_postgres::retry;
use flotilla_redact::Secret;
use lru::LruCache;
use parking_lot::Mutex;
use prometheus::{IntCounterVec, Opts, Registry};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    config::GuessingSettings,
    domain::{email, guessing::Limit},
    error::Error,
    passwords::{Checked, Passwords},
    storage::{Count, FailedAttempts, Key},
};

/// A replica serializes attempts in this many lanes; attempts at one account from one network share a lane.
const LANES: usize = 256;
/// How many waits a replica caches, so that throttled floods cost no statement, and for how long.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");
const REMEMBERED_FOR: Duration = Duration::from_secs(2);
/// The minimum reported wait.
const SHORTEST: Duration = Duration::from_secs(1);
/// A single IPv6 customer usually has a whole /64, and a site a /48.
const CUSTOMER: u32 = 64;
const SITE: u32 = 48;

/// An attempt at an account's password.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The key of the cached wait: the address as typed, and the network.
    typed: Key,
    /// The key of the counter for the account and the network.
    own: Key,
    /// The keys of the counters for the network and for the account.
    wide: [Key; 2],
    customer: String,
}

impl Attempt {
    /// An attempt at the account of an e-mail address, whether it exists or not; from `address`, if that is known.
    pub fn new(email: &str, address: Option<IpAddr>) -> Self {
        // All forms of an address count as one account.
        let account = email::folded(email);
        let (customer, site) = (network(address, CUSTOMER), network(address, SITE));
        let own = key(&["account and network", &account, &customer]);
        Self { typed: own, own, wide: [key(&["network", &site]), key(&["account", &account])], customer }
    }

    /// The same attempt, counted for the account's user.
    fn at(&self, user: Uuid) -> Self {
        let account = user.to_string();
        let own = key(&["user and network", &account, &self.customer]);
        Self { own, wide: [self.wide[0], key(&["user", &account])], ..self.clone() }
    }

    /// The key of the network for a user's known networks. A user who doesn't exist is looked up like any other.
    fn known_to(&self, user: Option<Uuid>) -> Key {
        key(&["known", &user.unwrap_or(Uuid::nil()).to_string(), &self.customer])
    }
}

/// A user and the slow hash of their password.
pub type Account = (Uuid, Secret<String>);

/// A cached wait.
#[derive(Clone, Copy)]
struct Wait {
    over: Instant,
    /// When it must be looked up again: a correct password at another replica may have ended it.
    stale: Instant,
}

/// Counts failures and throttles attempts.
pub struct Attempts {
    stored: FailedAttempts,
    passwords: Arc<Passwords>,
    own: Count,
    network: Count,
    account: Count,
    lanes: Vec<tokio::sync::Mutex<()>>,
    hasher: RandomState,
    waiting: Mutex<LruCache<Key, Wait>>,
    counted: IntCounterVec,
}

impl Attempts {
    /// Creates the counters for these passwords.
    ///
    /// # Errors
    /// If the registry already has its metric.
    pub fn new(
        stored: FailedAttempts,
        passwords: Arc<Passwords>,
        settings: &GuessingSettings,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let help = "Attempts with passwords and refresh tokens, by outcome";
        let counted = IntCounterVec::new(Opts::new("flotilla_identity_attempts_total", help), &["secret", "outcome"])?;
        for secret in ["password", "refresh_token"] {
            for outcome in ["right", "wrong", "refused"] {
                counted.with_label_values(&[secret, outcome]);
            }
        }
        registry.register(Box::new(counted.clone()))?;
        let count = |limit: Limit| Count { waits: limit.waits(), forget: limit.forget };
        Ok(Self {
            stored,
            passwords,
            own: count(Limit::of_account_and_network(settings.per_account_and_network)),
            network: count(Limit::of_network(settings.per_network)),
            account: count(Limit::of_account(settings.per_account)),
            lanes: (0..LANES).map(|_| tokio::sync::Mutex::default()).collect(),
            hasher: RandomState::new(),
            waiting: Mutex::new(LruCache::new(REMEMBERED)),
            counted,
        })
    }

    /// Refuses an attempt that must wait according to this replica's cache, without a database query.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`].
    pub fn recall(&self, attempt: &Attempt) -> Result<(), Error> {
        let now = Instant::now();
        match self.waiting.lock().get(&attempt.typed) {
            Some(wait) if now < wait.stale && now < wait.over => Err(self.refuse("password", wait.over - now)),
            _ => Ok(()),
        }
    }

    /// Checks a password against the hash of its account, if there is one.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] if the attempt must wait: then nothing was checked. [`Error::Busy`]; errors of the
    /// database.
    pub async fn check(
        &self,
        attempt: &Attempt,
        password: Secret<String>,
        account: Option<Account>,
        deadline: Duration,
    ) -> Result<Checked, Error> {
        let (user, hash) = account.unzip();
        let attempt = &user.map_or_else(|| attempt.clone(), |user| attempt.at(user));
        // One at a time, so that parallel attempts can't bypass the wait.
        let _lane = self.lane(&attempt.own).lock().await;
        self.recall(attempt)?;
        self.admit(attempt, user, deadline).await?;
        let place = self.passwords.place()?;
        // Counted before the check and reset if the password is correct, so that concurrent attempts at other replicas
        // are counted too.
        if !retry(deadline, || self.stored.count(&attempt.own, &self.own, true)).await? {
            return Err(self.refuse("password", SHORTEST));
        }
        let checked = self.passwords.verify(place, password.into(), hash).await?;
        match (&checked, user) {
            (Checked::Right | Checked::RightUnprepared(_), Some(user)) => {
                let network = attempt.known_to(Some(user));
                retry(deadline, || self.stored.forget(&attempt.own, user, &network)).await?;
                self.count("password", "right");
            }
            _ => {
                let [network, account] = &attempt.wide;
                retry(deadline, || self.stored.count(network, &self.network, false)).await?;
                retry(deadline, || self.stored.count(account, &self.account, false)).await?;
                self.count("password", "wrong");
            }
        }
        Ok(checked)
    }

    /// Counts an unknown refresh token. A valid token never has to wait: 256 random bits can't be guessed, and its
    /// holder has proved more than an address.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] if too many came from this network; errors of the database.
    pub async fn unknown_token(&self, address: Option<IpAddr>, deadline: Duration) -> Result<(), Error> {
        let network = key(&["refresh token", &network(address, SITE)]);
        let wait = retry(deadline, || self.stored.wait(&network, &[], None, &network)).await?;
        if !wait.is_zero() {
            return Err(self.refuse("refresh_token", wait));
        }
        retry(deadline, || self.stored.count(&network, &self.network, false)).await?;
        self.count("refresh_token", "wrong");
        Ok(())
    }

    /// Counts a refresh token that was exchanged.
    pub fn known_token(&self) {
        self.count("refresh_token", "right");
    }

    async fn admit(&self, attempt: &Attempt, user: Option<Uuid>, deadline: Duration) -> Result<(), Error> {
        let known = attempt.known_to(user);
        let wait = retry(deadline, || self.stored.wait(&attempt.own, &attempt.wide, user, &known)).await?;
        if wait.is_zero() {
            return Ok(());
        }
        let now = Instant::now();
        self.waiting.lock().put(attempt.typed, Wait { over: now + wait, stale: now + REMEMBERED_FOR });
        Err(self.refuse("password", wait))
    }

    fn refuse(&self, secret: &str, wait: Duration) -> Error {
        self.count(secret, "refused");
        // In whole seconds, as in `Retry-After`.
        Error::TooManyAttempts(Duration::from_secs(wait.as_secs_f64().ceil() as u64).max(SHORTEST))
    }

    fn lane(&self, key: &Key) -> &tokio::sync::Mutex<()> {
        &self.lanes[self.hasher.hash_one(key) as usize % LANES]
    }

    fn count(&self, secret: &str, outcome: &str) {
        self.counted.with_label_values(&[secret, outcome]).inc();
    }
}

/// The network of an address as text: the first `bits` of an IPv6 address, or the whole IPv4 address.
fn network(address: Option<IpAddr>, bits: u32) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() & (!0 << (128 - bits))).to_string(),
        None => "unknown".to_owned(),
    }
}

/// A hash of the parts. The length of each part is included, so that different lists with the same concatenation
/// differ.
fn key(parts: &[&str]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn a_customers_network_counts_as_one_address_and_a_site_counts_over_accounts() {
        assert_eq!(network(at("192.0.2.7"), CUSTOMER), "192.0.2.7");
        assert_eq!(network(at("::ffff:192.0.2.7"), CUSTOMER), "192.0.2.7");
        assert_eq!(network(at("2001:db8:1:2:3::4"), CUSTOMER), "2001:db8:1:2::");
        assert_eq!(network(at("2001:db8:1:2:3::4"), SITE), "2001:db8:1::");
        assert_eq!(network(None, SITE), "unknown");
    }

    #[test]
    fn attempts_are_counted_apart_by_account_and_by_network() {
        let here = Attempt::new("Ann@example.com", at("192.0.2.7"));
        let again = Attempt::new("ann@\u{ff25}XAMPLE.com", at("192.0.2.7"));
        let elsewhere = Attempt::new("ann@example.com", at("192.0.2.8"));
        let other = Attempt::new("bob@example.com", at("192.0.2.7"));
        assert_eq!(here.own, again.own);
        assert_ne!(here.own, elsewhere.own);
        assert_ne!(here.own, other.own);
        assert_eq!((here.wide[0], here.wide[1]), (other.wide[0], elsewhere.wide[1]));
    }

    #[test]
    fn a_users_attempts_are_counted_together_however_the_address_is_spelt() {
        let (user, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let one = Attempt::new("ivi@example.com", at("192.0.2.7"));
        let renamed = Attempt::new("somebody.else@example.com", at("192.0.2.7"));
        assert_eq!(one.at(user).own, renamed.at(user).own);
        assert_eq!(one.at(user).wide, renamed.at(user).wide);
        assert_ne!(one.at(user).own, one.at(other).own);
        // An account that doesn't exist behaves the same way, so that nobody can find out which accounts exist.
        for same in ["\u{130}vi@example.com", "IV\u{130}@example.com"] {
            assert_eq!(Attempt::new(same, at("192.0.2.7")).own, one.own, "{same}");
        }
    }
}
