//! Repeating a whole transaction.

use std::future::Future;
use std::time::Duration;

use flotilla_clock::Jitter;
use tokio::time::Instant;

use crate::error::Error;

/// How long a stream to a client outlasts a database that restarts or fails over; then it ends and its client resumes.
pub const FAILOVER: Duration = Duration::from_secs(10);
/// The first pause; doubled up to the longest.
const FIRST: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST: Duration = Duration::from_millis(500);

/// Runs `op` until it succeeds, fails for good, or no further attempt fits before the deadline.
///
/// Conflicts and unavailability are repeated, each time from the begin of the transaction, with growing, jittered
/// pauses. As a commit's outcome may be unknown ([`Error::outcome_unknown`]), `op` must find its own earlier work by
/// a key.
///
/// # Errors
/// The last attempt's.
pub async fn retry<T, F, Fut>(deadline: Duration, mut op: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let end = Instant::now() + deadline;
    let (jitter, mut longest) = (Jitter::new(), FIRST);
    loop {
        let error = match op().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let pause = pause(&jitter, longest);
        if !error.may_retry() || Instant::now() + pause >= end {
            return Err(error);
        }
        tracing::debug!(error = %error, kind = error.kind().as_str(), pause_ms = pause.as_millis(), "transaction repeated");
        tokio::time::sleep(pause).await;
        longest = (longest * 2).min(LONGEST);
    }
}

/// Between half of `longest` and all of it.
fn pause(jitter: &Jitter, longest: Duration) -> Duration {
    longest / 2 + jitter.part_of(longest / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::cell::Cell;

    async fn attempts(kind: ErrorKind, deadline: Duration, succeed_at: u32) -> (u32, bool) {
        let count = Cell::new(0);
        let result = retry(deadline, || {
            count.set(count.get() + 1);
            let fine = count.get() >= succeed_at;
            async move { if fine { Ok(()) } else { Err(Error::new(kind, "refused")) } }
        })
        .await;
        (count.get(), result.is_ok())
    }

    #[tokio::test]
    async fn a_conflict_is_repeated_until_it_passes() {
        assert_eq!(attempts(ErrorKind::Conflict, Duration::from_secs(5), 4).await, (4, true));
    }

    #[tokio::test]
    async fn a_data_error_is_told_at_once() {
        assert_eq!(attempts(ErrorKind::Data, Duration::from_secs(5), 2).await, (1, false));
    }

    #[tokio::test]
    async fn repeating_stops_at_the_deadline() {
        let began = Instant::now();
        let (count, ok) = attempts(ErrorKind::Unavailable, Duration::from_millis(200), u32::MAX).await;
        assert!(!ok);
        assert!((2..=20).contains(&count), "{count} attempts");
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn pauses_are_spread_over_half_their_length() {
        let jitter = Jitter::new();
        for _ in 0..1_000 {
            let pause = pause(&jitter, Duration::from_millis(100));
            assert!(pause >= Duration::from_millis(50) && pause <= Duration::from_millis(100));
        }
    }
}
