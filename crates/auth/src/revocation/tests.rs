//! How ended sessions become known.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::*;
use crate::{AuthError, AuthSettings, Caller, Role, StaticKeys, TokenSigner};

/// Ended sessions in the order of their end; the cursor counts them. `None`: can't be reached.
#[derive(Default)]
struct Ledger {
    ended: Mutex<Option<Vec<Revoked>>>,
    asked: AtomicUsize,
    page: usize,
}

#[async_trait::async_trait]
impl RevocationSource for Ledger {
    async fn revoked(&self, cursor: &str) -> Result<Revocations, RevocationsUnavailable> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let Some(ended) = self.ended.lock().clone() else { return std::future::pending().await };
        let from: usize =
            if cursor.is_empty() { 0 } else { cursor.parse().map_err(|_| refused("it is not a number"))? };
        if from > ended.len() {
            return Err(refused("it is ahead"));
        }
        let to = ended.len().min(from + self.page);
        Ok(Revocations { sessions: ended[from..to].to_vec(), cursor: to.to_string(), more: to < ended.len() })
    }
}

fn refused(why: &str) -> RevocationsUnavailable {
    RevocationsUnavailable::BadCursor(why.to_owned())
}

struct World {
    authenticator: Authenticator,
    ledger: Arc<Ledger>,
    token: String,
    ending: Revoked,
    shutdown: CancellationToken,
    watch: tokio::task::JoinHandle<()>,
}

/// A token that is cached as valid, and a watch that has polled once.
async fn world(page: usize) -> World {
    let settings = AuthSettings::default();
    let signer = TokenSigner::from_seed(&[1; 32], "k", &settings.issuer, &settings.audience).unwrap();
    let (now, session) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000), Uuid::from_u128(70));
    let keys = Arc::new(StaticKeys::new([signer.verifying_key()]));
    let authenticator = Authenticator::with_clock(&settings, keys, Arc::new(move || now));
    let until = now + Duration::from_secs(900);
    let token = signer.sign(&Caller { user: Uuid::from_u128(7), session, role: Role::Customer, expires: until }, now);
    authenticator.verify(&token).await.unwrap();
    let ledger = Arc::new(Ledger { ended: Mutex::new(Some(Vec::new())), page, ..Ledger::default() });
    let shutdown = CancellationToken::new();
    let watch = tokio::spawn(authenticator.watch_revocations(ledger.clone(), shutdown.clone()));
    tokio::time::sleep(Duration::from_millis(1)).await;
    World { authenticator, ledger, token, ending: Revoked { session, until }, shutdown, watch }
}

fn others(ending: Revoked, count: u128) -> impl Iterator<Item = Revoked> {
    (0..count).map(move |other| Revoked { session: Uuid::from_u128(1000 + other), ..ending })
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_is_known_after_the_next_poll_however_many_ended_before_it() {
    let World { authenticator, ledger, token, ending, shutdown, watch } = world(10).await;
    let ended = others(ending, 95).chain([ending]).collect();
    *ledger.ended.lock() = Some(ended);
    assert!(authenticator.verify(&token).await.is_ok(), "not polled yet");
    tokio::time::sleep(POLL).await;
    assert_eq!(authenticator.verify(&token).await, Err(AuthError::Revoked));
    assert_eq!(ledger.asked.load(Ordering::Relaxed), 1 + 10);

    shutdown.cancel();
    watch.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_identity_is_down_tokens_stay_valid_and_ended_sessions_are_learnt_afterwards() {
    let World { authenticator, ledger, token, ending, .. } = world(10).await;
    *ledger.ended.lock() = None;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(authenticator.verify(&token).await.is_ok());
    let asked = ledger.asked.load(Ordering::Relaxed);
    assert!((10..=31).contains(&asked), "asked {asked} times in a minute");

    *ledger.ended.lock() = Some(vec![ending]);
    tokio::time::sleep(POLL + ANSWER).await;
    assert_eq!(authenticator.verify(&token).await, Err(AuthError::Revoked));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_refuses_the_cursor_is_read_from_the_beginning() {
    let World { authenticator, ledger, token, ending, .. } = world(10).await;
    *ledger.ended.lock() = Some(others(ending, 5).collect());
    tokio::time::sleep(POLL).await;
    // A different log, which is shorter than the cursor's position.
    *ledger.ended.lock() = Some(vec![ending]);
    tokio::time::sleep(POLL * 2).await;
    assert_eq!(authenticator.verify(&token).await, Err(AuthError::Revoked));
}

#[tokio::test(start_paused = true)]
async fn the_watch_ends_at_the_shutdown_even_while_it_waits_for_a_response() {
    let World { ledger, shutdown, watch, .. } = world(10).await;
    *ledger.ended.lock() = None;
    tokio::time::sleep(POLL).await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_millis(100), watch).await.unwrap().unwrap();
}

#[test]
fn an_entry_is_encoded_and_decoded() {
    let entry = Revoked { session: Uuid::from_u128(70), until: SystemTime::UNIX_EPOCH + Duration::from_secs(9) };
    assert_eq!(Revoked::from_proto(&entry.to_proto()), Some(entry));
    assert_eq!(Revoked::from_proto(&proto::RevokedSession::default()), None);
}
