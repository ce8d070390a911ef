//! Which tokens are accepted, and when keys are fetched.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::super::keyring::{KEYS_LIVE, REFETCH};
use super::*;
use crate::{KeysUnavailable, StaticKeys, TokenSigner, VerifyingKey};

pub const SKEW: u64 = 30;
pub const NOW: u64 = 1_800_000_000;

pub fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub fn signer(seed: u8, kid: &str, issuer: &str, audience: &str) -> TokenSigner {
    TokenSigner::from_seed(&[seed; 32], kid, issuer, audience).unwrap()
}

pub fn ours() -> TokenSigner {
    signer(1, "k1", "flotilla-identity", "flotilla")
}

pub fn somebody() -> Caller {
    Caller { user: Uuid::from_u128(7), session: Uuid::from_u128(70), role: Role::Customer, expires: at(NOW + 60) }
}

pub fn authenticator(source: Arc<dyn KeySource>) -> (Authenticator, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&time);
    let now = Arc::new(move || at(clock.load(Ordering::Relaxed)));
    (Authenticator::with_clock(&AuthSettings::default(), source, now), time)
}

pub fn with_our_key() -> (Authenticator, Arc<AtomicU64>) {
    authenticator(Arc::new(StaticKeys::new([ours().verifying_key()])))
}

fn with_our_key_at(now: u64) -> Authenticator {
    let (authenticator, time) = with_our_key();
    time.store(now, Ordering::Relaxed);
    authenticator
}

/// A source that counts how often it is asked and may fail.
#[derive(Default)]
struct Counting {
    asked: AtomicUsize,
    keys: Mutex<Option<Vec<VerifyingKey>>>,
}

#[async_trait::async_trait]
impl KeySource for Counting {
    async fn keys(&self) -> Result<Vec<VerifyingKey>, KeysUnavailable> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.keys.lock().clone().ok_or_else(|| KeysUnavailable("down".to_owned()))
    }
}

#[tokio::test]
async fn a_token_identifies_its_caller_until_it_expires_by_any_clock_of_the_fleet() {
    let (authenticator, time) = with_our_key();
    let token = ours().sign(&somebody(), at(NOW));
    assert_eq!(authenticator.verify(&token).await, Ok(somebody()));
    assert_eq!(authenticator.recall(&token), Some(Ok(somebody())));
    time.store(NOW + 60 + SKEW - 1, Ordering::Relaxed);
    assert_eq!(authenticator.recall(&token), Some(Ok(somebody())));
    assert_eq!(with_our_key_at(NOW + 60 + SKEW - 1).verify(&token).await, Ok(somebody()));
    assert_eq!(with_our_key_at(NOW + 60 + SKEW).verify(&token).await, Err(AuthError::Expired));
    time.store(NOW + 60 + SKEW, Ordering::Relaxed);
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

#[tokio::test(start_paused = true)]
async fn unknown_keys_are_fetched_at_most_once_a_second() {
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
async fn unreachable_keys_are_unavailable_and_known_keys_stay_valid() {
    let source = Arc::new(Counting::default());
    let (authenticator, _) = authenticator(source.clone());
    let token = ours().sign(&somebody(), at(NOW));
    assert_eq!(authenticator.verify(&token).await, Err(AuthError::KeysUnavailable));
    *source.keys.lock() = Some(vec![ours().verifying_key()]);
    tokio::time::advance(REFETCH).await;
    assert_eq!(authenticator.verify(&token).await, Ok(somebody()));
    *source.keys.lock() = None;
    tokio::time::advance(KEYS_LIVE).await;
    let another = ours().sign(&Caller { user: Uuid::from_u128(8), ..somebody() }, at(NOW));
    assert_eq!(authenticator.verify(&another).await.map(|caller| caller.user), Ok(Uuid::from_u128(8)));
}

#[tokio::test(start_paused = true)]
async fn tokens_of_the_old_and_the_new_key_are_accepted_during_a_rotation() {
    let source = Arc::new(Counting::default());
    let (old, new) = (ours(), signer(2, "k2", "flotilla-identity", "flotilla"));
    *source.keys.lock() = Some(vec![old.verifying_key()]);
    let (authenticator, _) = authenticator(source.clone());
    let token =
        |signer: &TokenSigner, user| signer.sign(&Caller { user: Uuid::from_u128(user), ..somebody() }, at(NOW));
    assert!(authenticator.verify(&token(&old, 1)).await.is_ok());

    *source.keys.lock() = Some(vec![new.verifying_key(), old.verifying_key()]);
    tokio::time::advance(REFETCH).await;
    assert!(authenticator.verify(&token(&new, 2)).await.is_ok(), "an unknown id fetches the new key");
    assert!(authenticator.verify(&token(&old, 3)).await.is_ok());

    *source.keys.lock() = Some(vec![new.verifying_key()]);
    tokio::time::advance(KEYS_LIVE).await;
    assert_eq!(authenticator.verify(&token(&old, 4)).await, Err(AuthError::Invalid), "its key was withdrawn");
    assert!(authenticator.verify(&token(&new, 5)).await.is_ok());
}

#[tokio::test]
async fn tokens_of_an_ended_session_are_refused_whether_cached_or_not() {
    let (authenticator, time) = with_our_key();
    let remembered = ours().sign(&somebody(), at(NOW));
    let fresh = ours().sign(&Caller { expires: at(NOW + 59), ..somebody() }, at(NOW));
    let another = ours().sign(&Caller { session: Uuid::from_u128(71), ..somebody() }, at(NOW));
    assert!(authenticator.verify(&remembered).await.is_ok());
    assert!(authenticator.verify(&another).await.is_ok());
    authenticator.revoke(&[Revoked { session: somebody().session, until: somebody().expires }]);
    for token in [&remembered, &fresh, &remembered] {
        assert_eq!(authenticator.verify(token).await, Err(AuthError::Revoked));
        assert_eq!(authenticator.recall(token), None, "it is no longer cached");
    }
    assert!(authenticator.verify(&another).await.is_ok(), "another session of the same user");

    // As long as a token may live by any clock its session is known to have ended; then it is forgotten.
    time.store(NOW + 60 + SKEW - 1, Ordering::Relaxed);
    authenticator.forget_ended();
    assert_eq!(authenticator.verify(&remembered).await, Err(AuthError::Revoked));
    time.store(NOW + 60 + SKEW, Ordering::Relaxed);
    authenticator.forget_ended();
    assert_eq!(authenticator.0.verified.revoked(), 0);
    assert_eq!(authenticator.verify(&remembered).await, Err(AuthError::Expired));
    authenticator.revoke(&[Revoked { session: somebody().session, until: somebody().expires }]);
    assert_eq!(authenticator.0.verified.revoked(), 0, "expired entries aren't kept");
}
