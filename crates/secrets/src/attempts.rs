//! Repeating what may work later, a bounded number of times.

use std::future::Future;
use std::time::Duration;

use flotilla_config::ResolveError;

/// The first and up to three repetitions.
const ATTEMPTS: u32 = 4;
/// Before the first repetition; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Does something until it works, can't work, or has failed [`ATTEMPTS`] times.
pub(crate) async fn repeated<T, F, Fut>(mut what: F) -> Result<T, ResolveError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ResolveError>>,
{
    let mut attempt = 0;
    loop {
        match what().await {
            Err(error) if error.is_retriable() && attempt + 1 < ATTEMPTS => {
                tracing::debug!(attempt, %error, "retrying the secret store");
                tokio::time::sleep(wait(attempt, std::process::id())).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// From half to the whole of the doubling wait, spread by process, so that a fleet that lost its store together doesn't
/// come back as one.
fn wait(attempt: u32, process: u32) -> Duration {
    let whole = FIRST_WAIT * 2_u32.saturating_pow(attempt);
    let spread = process.wrapping_mul(2_654_435_761).rotate_left(attempt) % 1_000;
    whole / 2 + whole * spread / 2_000
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn asked(error: impl Fn() -> ResolveError) -> u32 {
        let asked = AtomicU32::new(0);
        let done: Result<(), _> = repeated(|| async {
            asked.fetch_add(1, Ordering::Relaxed);
            Err(error())
        })
        .await;
        assert!(done.is_err());
        asked.into_inner()
    }

    #[tokio::test]
    async fn what_may_work_later_is_repeated_within_a_bound_and_nothing_else_is() {
        assert_eq!(asked(|| ResolveError::transient("no answer")).await, ATTEMPTS);
        assert_eq!(asked(|| ResolveError::permanent("denied")).await, 1);
    }

    #[test]
    fn waits_grow_and_differ_between_processes() {
        for attempt in 0..ATTEMPTS {
            for process in [0, 1, 7, 4_194_304] {
                let whole = FIRST_WAIT * 2_u32.pow(attempt);
                assert!((whole / 2..=whole).contains(&wait(attempt, process)));
            }
        }
        assert_ne!(wait(0, 1), wait(0, 2));
    }
}
