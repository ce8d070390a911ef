//! The keys that sign tokens: stored in the database, shared by all replicas, and cached in memory.
//!
//! A new key is published for the lead time before it signs, and every replica knows it by then: a replica that has not
//! read the keys for that long doesn't sign until it has. So no token is signed with a key that a verifier can't fetch,
//! and none with an old key once the new one signs.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flotilla_auth::{Caller, KeySource, KeysUnavailable, TokenError, TokenSigner, VerifyingKey};
use flotilla_clock::{Clock, Random};
use flotilla_proto::identity::v1::JsonWebKey;
use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::config::AuthSettings;

/// Size of an Ed25519 secret in bytes.
pub const SECRET_BYTES: usize = 32;

/// A stored key.
#[derive(Clone)]
pub struct StoredKey {
    /// Its id: the key's own fingerprint (RFC 7638).
    pub kid: String,
    /// The 32 secret bytes.
    pub secret: Vec<u8>,
    /// The 32 public bytes.
    pub public: Vec<u8>,
    /// When it starts signing.
    pub signs_from: SystemTime,
    /// When its last token expires; `None` while there is no newer key.
    pub verifies_until: Option<SystemTime>,
}

impl StoredKey {
    /// Creates a new key.
    ///
    /// # Errors
    /// Never in practice: any 32 bytes are a valid secret.
    pub fn generate(random: &dyn Random, signs_from: SystemTime) -> Result<Self, TokenError> {
        let mut secret = [0; SECRET_BYTES];
        random.fill(&mut secret);
        let jwk = TokenSigner::from_seed(&secret, "", "", "")?.jwk();
        let public = URL_SAFE_NO_PAD.decode(&jwk.x).map_err(|_| TokenError)?;
        Ok(Self { kid: thumbprint(&jwk), secret: secret.to_vec(), public, signs_from, verifies_until: None })
    }

    /// The published form of the key.
    #[must_use]
    pub fn to_jwk(&self) -> Option<JsonWebKey> {
        VerifyingKey::new(&self.kid, URL_SAFE_NO_PAD.encode(&self.public)).map(|key| key.to_jwk())
    }
}

/// The fingerprint of a key (RFC 7638): equal keys have equal ids.
fn thumbprint(jwk: &JsonWebKey) -> String {
    let canonical = format!(r#"{{"crv":"{}","kty":"{}","x":"{}"}}"#, jwk.crv, jwk.kty, jwk.x);
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

/// Signs with the newest key that may sign; publishes all keys that verify.
pub struct SigningKeys {
    issuer: String,
    audience: String,
    lead: Duration,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
}

struct Known {
    /// Newest first; never empty.
    keys: Arc<[Key]>,
    read: Instant,
}

struct Key {
    signer: TokenSigner,
    signs_from: SystemTime,
    verifies_until: Option<SystemTime>,
}

/// The keys have not been read for too long: the current one may no longer sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing keys have not been read for too long")]
pub struct Stale;

impl SigningKeys {
    /// Creates the keys from the stored ones that were just read, newest first.
    ///
    /// # Errors
    /// There is no key, or one has the wrong size.
    pub fn new(stored: &[StoredKey], settings: &AuthSettings, clock: Arc<dyn Clock>) -> Result<Self, TokenError> {
        let AuthSettings { issuer, audience, .. } = settings;
        let known = Known { keys: signers(stored, issuer, audience)?, read: Instant::now() };
        let (issuer, audience) = (issuer.clone(), audience.clone());
        Ok(Self { issuer, audience, lead: settings.key_lead.get(), clock, known: RwLock::new(known) })
    }

    /// Replaces the keys by those read by a query sent at `asked`.
    ///
    /// # Errors
    /// There is no key, or one has the wrong size: then the known keys are kept.
    pub fn replace(&self, stored: &[StoredKey], asked: Instant) -> Result<(), TokenError> {
        let keys = signers(stored, &self.issuer, &self.audience)?;
        let mut known = self.known.write();
        if asked >= known.read {
            *known = Known { keys, read: asked };
        }
        Ok(())
    }

    /// Creates a token for a caller, valid from `now`.
    ///
    /// # Errors
    /// [`Stale`] if the keys must be read first.
    pub fn sign(&self, caller: &Caller, now: SystemTime) -> Result<String, Stale> {
        let known = self.known.read();
        if known.read.elapsed() >= self.lead {
            return Err(Stale);
        }
        let due = known.keys.iter().find(|key| key.signs_from <= now);
        // Only possible with clock skew: the oldest key is then the one that other replicas sign with.
        let key = due.or_else(|| known.keys.last()).ok_or(Stale)?;
        Ok(key.signer.sign(caller, now))
    }

    /// Whether the keys must be read before signing.
    pub fn is_stale(&self) -> bool {
        self.known.read().read.elapsed() >= self.lead
    }

    /// The lead time: how long a new key is published before it signs.
    pub fn lead(&self) -> Duration {
        self.lead
    }

    /// The public keys, newest first (RFC 7517).
    pub fn published(&self) -> Vec<JsonWebKey> {
        self.verifying().iter().map(VerifyingKey::to_jwk).collect()
    }

    fn verifying(&self) -> Vec<VerifyingKey> {
        let (keys, now) = (Arc::clone(&self.known.read().keys), self.clock.now());
        let living = keys.iter().filter(|key| key.verifies_until.is_none_or(|until| until > now));
        living.map(|key| key.signer.verifying_key()).collect()
    }
}

/// Identity checks its own callers' tokens with these keys.
#[tonic::async_trait]
impl KeySource for SigningKeys {
    async fn keys(&self) -> Result<Vec<VerifyingKey>, KeysUnavailable> {
        Ok(self.verifying())
    }
}

fn signers(stored: &[StoredKey], issuer: &str, audience: &str) -> Result<Arc<[Key]>, TokenError> {
    let signer = |key: &StoredKey| {
        let secret: [u8; SECRET_BYTES] = key.secret.as_slice().try_into().map_err(|_| TokenError)?;
        let signer = TokenSigner::from_seed(&secret, &key.kid, issuer, audience)?;
        Ok(Key { signer, signs_from: key.signs_from, verifies_until: key.verifies_until })
    };
    if stored.is_empty() { Err(TokenError) } else { stored.iter().map(signer).collect() }
}

#[cfg(test)]
mod tests {
    use flotilla_auth::{Authenticator, Role};
    use flotilla_clock::{Ids, OsRandom};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_thumbprint_is_that_of_the_rfc() {
        // RFC 8037, appendix A.3.
        let jwk = JsonWebKey {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
            ..Default::default()
        };
        assert_eq!(thumbprint(&jwk), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    fn key(signs_from: SystemTime, verifies_until: Option<SystemTime>) -> StoredKey {
        let key = StoredKey::generate(&OsRandom, signs_from).expect("any bytes are a key");
        StoredKey { verifies_until, ..key }
    }

    fn caller(now: SystemTime) -> Caller {
        let (user, session) = (Uuid::from_u128(7), Uuid::from_u128(70));
        Caller { user, session, role: Role::Customer, expires: now + Duration::from_secs(60) }
    }

    fn kid(token: &str) -> String {
        jsonwebtoken::decode_header(token).expect("a token").kid.expect("a key id")
    }

    #[tokio::test]
    async fn a_key_signs_from_its_time_on_and_all_are_published_until_theirs() {
        let clock = Ids::system().clock();
        let now = clock.now();
        let second = Duration::from_secs(1);
        let coming = key(now + second, None);
        let present = key(now - second, Some(now + 600 * second));
        let gone = key(now - 2 * second, Some(now));
        let stored = [coming.clone(), present.clone(), gone.clone()];
        let keys = Arc::new(SigningKeys::new(&stored, &AuthSettings::default(), clock).expect("sound keys"));
        let published: Vec<_> = keys.published().into_iter().map(|key| key.kid).collect();
        assert_eq!(published, [&*coming.kid, &*present.kid]);

        let authenticator = Authenticator::new(&AuthSettings::default().verification(), keys.clone());
        for (at, signer) in [(now, &present), (now + second, &coming)] {
            let token = keys.sign(&caller(now), at).expect("just read");
            assert_eq!(kid(&token), signer.kid);
            assert_eq!(authenticator.verify(&token).await.map(|caller| caller.user), Ok(Uuid::from_u128(7)));
        }
        assert!(SigningKeys::new(&[], &AuthSettings::default(), Ids::system().clock()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_may_have_missed_a_new_key_does_not_sign() {
        let clock = Ids::system().clock();
        let now = clock.now();
        let settings = AuthSettings::default();
        let (old, new) = (key(now, None), key(now, None));
        let keys = SigningKeys::new(std::slice::from_ref(&old), &settings, clock).expect("a sound key");
        let asked = Instant::now();
        tokio::time::advance(keys.lead() - Duration::from_millis(1)).await;
        assert!(keys.sign(&caller(now), now).is_ok());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(keys.sign(&caller(now), now), Err(Stale));
        keys.replace(std::slice::from_ref(&new), Instant::now()).expect("a sound key");
        assert_eq!(keys.sign(&caller(now), now).map(|token| kid(&token)), Ok(new.kid.clone()));
        // A late answer to an earlier query is older than the known keys.
        keys.replace(&[old], asked).expect("a sound key");
        assert_eq!(keys.sign(&caller(now), now).map(|token| kid(&token)), Ok(new.kid));
    }
}
