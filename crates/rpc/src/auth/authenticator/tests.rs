//! Which tokens get in.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use jsonwebtoken::{EncodingKey, Header};

use super::*;
use crate::{KeysUnavailable, StaticKeys, TokenSigner, VerifyingKey};

const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn signer(seed: u8, kid: &str, issuer: &str, audience: &str) -> TokenSigner {
    TokenSigner::from_seed(&[seed; 32], kid, issuer, audience).unwrap()
}

fn ours() -> TokenSigner {
    signer(1, "k1", "flotilla-identity", "flotilla")
}

fn somebody() -> Caller {
    Caller { user: Uuid::from_u128(7), role: Role::Customer, expires: at(NOW + 60) }
}

fn authenticator(source: Arc<dyn KeySource>) -> (Authenticator, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&time);
    let now: Clock = Arc::new(move || at(clock.load(Ordering::Relaxed)));
    (Authenticator::with_clock(&AuthSettings::default(), source, now), time)
}

fn with_our_key() -> (Authenticator, Arc<AtomicU64>) {
    authenticator(Arc::new(StaticKeys::new([ours().verifying_key()])))
}

/// A source that counts how often it is asked and may fail.
#[derive(Default)]
struct Counting {
    asked: AtomicUsize,
    keys: Mutex<Option<Vec<VerifyingKey>>>,
}

#[tonic::async_trait]
impl KeySource for Counting {
    async fn keys(&self) -> Result<Vec<VerifyingKey>, KeysUnavailable> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.keys.lock().clone().ok_or_else(|| KeysUnavailable("down".to_owned()))
    }
}

#[tokio::test]
async fn a_token_tells_its_caller_until_it_expires() {
    let (authenticator, time) = with_our_key();
    let token = ours().sign(&somebody(), at(NOW));
    assert_eq!(authenticator.verify(&token).await, Ok(somebody()));
    assert_eq!(authenticator.recall(&token), Some(Ok(somebody())));
    time.store(NOW + 60, Ordering::Relaxed);
    assert_eq!(authenticator.recall(&token), Some(Err(AuthError::Expired)));
    assert_eq!(authenticator.verify(&token).await, Err(AuthError::Expired));
}

#[tokio::test]
async fn tokens_of_others_are_refused() {
    let (authenticator, _) = with_our_key();
    let now = at(NOW);
    let mut changed = ours().sign(&somebody(), now);
    changed.replace_range(changed.len() - 4.., "AAAA");
    let bad = [
        signer(2, "k1", "flotilla-identity", "flotilla").sign(&somebody(), now),
        signer(1, "k2", "flotilla-identity", "flotilla").sign(&somebody(), now),
        signer(1, "k1", "another", "flotilla").sign(&somebody(), now),
        signer(1, "k1", "flotilla-identity", "another").sign(&somebody(), now),
        changed,
        "rubbish".to_owned(),
        String::new(),
        "x".repeat(MAX_TOKEN + 1),
    ];
    for token in bad {
        assert_eq!(authenticator.verify(&token).await, Err(AuthError::Invalid), "{token}");
    }
}

#[tokio::test]
async fn tokens_of_other_algorithms_or_without_claims_are_refused() {
    let (authenticator, _) = with_our_key();
    let ed = EncodingKey::from_ed_der(&{
        let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        der.extend_from_slice(&[1; 32]);
        der
    });
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("k1".to_owned());
    let full = serde_json::json!({
        "iss": "flotilla-identity", "aud": "flotilla", "sub": Uuid::from_u128(7), "role": "customer", "exp": NOW + 60,
    });
    let sign = |claims: &serde_json::Value| jsonwebtoken::encode(&header, claims, &ed).unwrap();
    assert_eq!(authenticator.verify(&sign(&full)).await, Ok(somebody()));
    for claim in ["iss", "aud", "sub", "role", "exp"] {
        let mut claims = full.clone();
        claims.as_object_mut().unwrap().remove(claim);
        assert_eq!(authenticator.verify(&sign(&claims)).await, Err(AuthError::Invalid), "without {claim}");
    }
    let mut claims = full.clone();
    claims["exp"] = serde_json::json!((NOW + 60).to_string());
    assert_eq!(authenticator.verify(&sign(&claims)).await, Err(AuthError::Invalid), "exp as text");

    let mut hs256 = Header::new(Algorithm::HS256);
    hs256.kid = Some("k1".to_owned());
    let token = jsonwebtoken::encode(&hs256, &full, &EncodingKey::from_secret(&[1; 32])).unwrap();
    assert_eq!(authenticator.verify(&token).await, Err(AuthError::Invalid), "HS256");
    header.kid = None;
    let token = jsonwebtoken::encode(&header, &full, &ed).unwrap();
    assert_eq!(authenticator.verify(&token).await, Err(AuthError::Invalid), "no kid");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_at_most_once_a_second() {
    let source = Arc::new(Counting::default());
    *source.keys.lock() = Some(vec![ours().verifying_key()]);
    let (authenticator, _) = authenticator(source.clone());
    let stranger = signer(1, "k2", "flotilla-identity", "flotilla").sign(&somebody(), at(NOW));
    for _ in 0..10 {
        assert_eq!(authenticator.verify(&stranger).await, Err(AuthError::Invalid));
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
    *source.keys.lock() = Some(vec![signer(1, "k2", "", "").verifying_key()]);
    tokio::time::advance(REFETCH).await;
    assert_eq!(authenticator.verify(&stranger).await, Ok(somebody()));
    assert_eq!(source.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn unreachable_keys_are_unavailable_and_known_keys_serve_on() {
    let source = Arc::new(Counting::default());
    let (authenticator, _) = authenticator(source.clone());
    let token = ours().sign(&somebody(), at(NOW));
    assert_eq!(authenticator.verify(&token).await, Err(AuthError::KeysUnavailable));
    *source.keys.lock() = Some(vec![ours().verifying_key()]);
    tokio::time::advance(REFETCH).await;
    assert_eq!(authenticator.verify(&token).await, Ok(somebody()));
    *source.keys.lock() = None;
    tokio::time::advance(KEYS_LIVE).await;
    authenticator.forget(somebody().user);
    assert_eq!(authenticator.recall(&token), None);
    assert_eq!(authenticator.verify(&token).await, Ok(somebody()));
}
