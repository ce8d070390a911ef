//! Retries of requests to a store, a bounded number of times.

use std::future::Future;
use std::time::Duration;

use flotilla_config::ResolveError;

/// The first attempt and up to three retries.
const ATTEMPTS: u32 = 4;
/// Wait before the first retry; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Runs `request` until it succeeds, fails permanently, or has failed [`ATTEMPTS`] times.
pub(crate) async fn with_retries<T, F, Fut>(mut request: F) -> Result<T, ResolveError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ResolveError>>,
{
    let mut attempt = 0;
    loop {
        match request().await {
            Err(error) if error.is_retriable() && attempt + 1 < ATTEMPTS => {
                tracing::debug!(attempt, %error, "retrying the secret store");
                tokio::time::sleep(wait(attempt, std::process::id())).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// The exponential backoff with jitter by process (half to all of it), so that a fleet that lost its store doesn't retry
/// all at once.
fn wait(attempt: u32, process: u32) -> Duration {
    let backoff = FIRST_WAIT * 2_u32.saturating_pow(attempt);
    let jitter = process.wrapping_mul(2_654_435_761).rotate_left(attempt) % 1_000;
    backoff / 2 + backoff * jitter / 2_000
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn attempts(error: impl Fn() -> ResolveError) -> u32 {
        let attempts = AtomicU32::new(0);
        let done: Result<(), _> = with_retries(|| async {
            attempts.fetch_add(1, Ordering::Relaxed);
            Err(error())
        })
        .await;
        assert!(done.is_err());
        attempts.into_inner()
    }

    #[tokio::test]
    async fn only_transient_errors_are_retried_a_bounded_number_of_times() {
        assert_eq!(attempts(|| ResolveError::transient("no answer")).await, ATTEMPTS);
        assert_eq!(attempts(|| ResolveError::permanent("denied")).await, 1);
    }

    #[test]
    fn waits_grow_and_differ_between_processes() {
        for attempt in 0..ATTEMPTS {
            for process in [0, 1, 7, 4_194_304] {
                let backoff = FIRST_WAIT * 2_u32.pow(attempt);
                assert!((backoff / 2..=backoff).contains(&wait(attempt, process)));
            }
        }
        assert_ne!(wait(0, 1), wait(0, 2));
    }
}
