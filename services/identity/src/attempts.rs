//! Attempts at secrets: whoever guesses waits longer and longer, before anything is worked for them.
//!
//! Failures are counted for an account and a network, for a network over all accounts, and for an account over all
//! networks (`docs/security.md` says why these three). Guarantees: an attempt that has to wait costs no hash; failures for
//! an account from elsewhere don't keep its user out of a network where they have signed in before; unknown accounts are
//! counted like known ones; all replicas count together. What is counted is bounded: no row is written without a hash
//! worked for it, rows end by themselves, and what a replica remembers has a fixed size.

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

/// Lanes in which a replica's attempts go one after the other: those for one account from one network share one.
const LANES: usize = 256;
/// Waits that a replica remembers, so that a flood that has to wait costs no statement, and for how long at most.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");
const REMEMBERED_FOR: Duration = Duration::from_secs(2);
/// The shortest wait that is told.
const SHORTEST: Duration = Duration::from_secs(1);
/// An IPv6 customer has a whole /64, and a site a /48.
const CUSTOMER: u32 = 64;
const SITE: u32 = 48;

/// An attempt at an account's password.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What is counted for the account and the network.
    own: Key,
    /// What is counted for the network and for the account.
    wide: [Key; 2],
    customer: String,
}

impl Attempt {
    /// At the account of an e-mail address, whether there is one or not; from `address`, where that is known.
    pub fn new(email: &str, address: Option<IpAddr>) -> Self {
        // Whatever form it is written in, it is one account.
        let account = email::canonical(email).unwrap_or_else(|_| email.to_owned()).to_lowercase();
        let (customer, site) = (network(address, CUSTOMER), network(address, SITE));
        Self {
            own: key(&["account and network", &account, &customer]),
            wide: [key(&["network", &site]), key(&["account", &account])],
            customer,
        }
    }

    /// The network as one that `user` is known in. One who doesn't exist is looked for like anyone else.
    fn known_to(&self, user: Option<Uuid>) -> Key {
        key(&["known", &user.unwrap_or(Uuid::nil()).to_string(), &self.customer])
    }
}

/// A user and the slow hash of their password.
pub type Account = (Uuid, Secret<String>);

/// A wait that a replica remembers.
#[derive(Clone, Copy)]
struct Wait {
    over: Instant,
    /// Asked anew from then on: the right password may have ended it, at another replica.
    stale: Instant,
}

/// Counts failures and lets attempts wait.
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
    /// Over the tables, for these passwords.
    ///
    /// # Errors
    /// The registry has its metric already.
    pub fn new(
        stored: FailedAttempts,
        passwords: Arc<Passwords>,
        settings: &GuessingSettings,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let help = "Passwords and refresh tokens that were shown, by what came of it";
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

    /// Refuses an attempt that this replica knows to have to wait, before anything is asked of the database.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`].
    pub fn recall(&self, attempt: &Attempt) -> Result<(), Error> {
        let now = Instant::now();
        match self.waiting.lock().get(&attempt.own) {
            Some(wait) if now < wait.stale && now < wait.over => Err(self.refuse("password", wait.over - now)),
            _ => Ok(()),
        }
    }

    /// Checks a password against the hash of its account, if there is one.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] where it has to wait: then nothing was checked. [`Error::Busy`]; the database.
    pub async fn check(
        &self,
        attempt: &Attempt,
        password: Secret<String>,
        account: Option<Account>,
        deadline: Duration,
    ) -> Result<Checked, Error> {
        let (user, hash) = account.unzip();
        // One after the other, so that many at once are no way round the wait.
        let _lane = self.lane(&attempt.own).lock().await;
        self.recall(attempt)?;
        self.admit(attempt, user, deadline).await?;
        let place = self.passwords.place()?;
        // Counted first and forgotten where it was right: attempts at other replicas at this moment are seen.
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

    /// Counts a refresh token that nobody was given. A right one is never kept waiting: 256 random bits can't be guessed,
    /// and its holder has proved more than an address.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] where so many came from there; the database.
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

    /// A refresh token was exchanged.
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
        self.waiting.lock().put(attempt.own, Wait { over: now + wait, stale: now + REMEMBERED_FOR });
        Err(self.refuse("password", wait))
    }

    fn refuse(&self, secret: &str, wait: Duration) -> Error {
        self.count(secret, "refused");
        // In whole seconds, as `Retry-After` tells it.
        Error::TooManyAttempts(Duration::from_secs(wait.as_secs_f64().ceil() as u64).max(SHORTEST))
    }

    fn lane(&self, key: &Key) -> &tokio::sync::Mutex<()> {
        &self.lanes[self.hasher.hash_one(key) as usize % LANES]
    }

    fn count(&self, secret: &str, outcome: &str) {
        self.counted.with_label_values(&[secret, outcome]).inc();
    }
}

/// The network of an address as text: of IPv6 the first `bits`, of IPv4 the address itself.
fn network(address: Option<IpAddr>, bits: u32) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() & (!0 << (128 - bits))).to_string(),
        None => "unknown".to_owned(),
    }
}

/// A hash of parts; the length of each keeps lists apart that read the same when joined.
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
}
