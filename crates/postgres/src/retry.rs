//! Retries of a whole transaction.

use std::future::Future;
use std::time::Duration;

use flotilla_clock::Jitter;
use tokio::time::Instant;

use crate::error::Error;

/// How long a stream to a client survives a restart or failover of the database; after that it ends and the client
/// resumes.
pub const FAILOVER: Duration = Duration::from_secs(10);
/// The initial pause; it doubles up to the maximum.
const FIRST: Duration = Duration::from_millis(5);
/// The maximum pause.
const LONGEST: Duration = Duration::from_millis(500);

/// An error that ends a transaction: the database's, or the caller's own refusal.
pub trait TransactionError: std::error::Error {
    /// The database's error, which knows whether the transaction may be repeated. `None` for a refusal, which is final.
    fn database(&self) -> Option<&Error>;
}

impl TransactionError for Error {
    fn database(&self) -> Option<&Error> {
        Some(self)
    }
}

/// Runs `op` until it succeeds, fails permanently, or the deadline leaves no time for another attempt.
///
/// Conflicts and unavailability are retried from the beginning of the transaction, with growing, jittered pauses.
/// Because a commit's outcome may be unknown ([`Error::outcome_unknown`]), `op` must find its own earlier work by a
/// key.
///
/// # Errors
/// The last attempt's error.
pub async fn retry<T, E, F, Fut>(deadline: Duration, op: F) -> Result<T, E>
where
    E: TransactionError,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    repeat(deadline, op, Error::may_retry).await
}

/// Like [`retry`], for an `op` that can't find its own earlier work: a commit of unknown outcome isn't retried.
///
/// # Errors
/// The last attempt's error.
pub async fn retry_unless_unknown<T, E, F, Fut>(deadline: Duration, op: F) -> Result<T, E>
where
    E: TransactionError,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    repeat(deadline, op, |error| error.may_retry() && !error.outcome_unknown()).await
}

async fn repeat<T, E, F, Fut>(deadline: Duration, mut op: F, may_repeat: fn(&Error) -> bool) -> Result<T, E>
where
    E: TransactionError,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let end = Instant::now() + deadline;
    let (jitter, mut longest) = (Jitter::new(), FIRST);
    loop {
        let error = match op().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let pause = pause(&jitter, longest);
        let Some(cause) = error.database().filter(|cause| may_repeat(cause) && Instant::now() + pause < end) else {
            return Err(error);
        };
        tracing::debug!(error = %cause, kind = cause.kind().as_str(), pause_ms = pause.as_millis(), "retrying transaction");
        tokio::time::sleep(pause).await;
        longest = (longest * 2).min(LONGEST);
    }
}

/// A random time between half of `longest` and `longest`.
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

    #[derive(Debug, thiserror::Error)]
    enum Ended {
        #[error("refused")]
        Refusal,
        #[error(transparent)]
        Database(#[from] Error),
    }

    impl TransactionError for Ended {
        fn database(&self) -> Option<&Error> {
            if let Self::Database(error) = self { Some(error) } else { None }
        }
    }

    #[tokio::test]
    async fn a_refusal_stands_and_is_returned_at_once() {
        let (count, errors) =
            (Cell::new(0), [|| Error::new(ErrorKind::Conflict, "in the way").into(), || Ended::Refusal]);
        let refused = retry(Duration::from_secs(5), || {
            let error = errors.get(count.replace(count.get() + 1));
            async move { error.map_or(Ok(()), |error| Err(error())) }
        })
        .await;
        assert!(matches!(refused, Err(Ended::Refusal)), "{refused:?}");
        assert_eq!(count.get(), 2, "the conflict was repeated, the refusal was not");
    }

    #[tokio::test]
    async fn a_commit_of_unknown_outcome_is_repeated_only_by_who_finds_its_own_work() {
        let attempts = async |unless_unknown: bool, unknown: bool| {
            let count = Cell::new(0);
            let op = || {
                count.set(count.get() + 1);
                let error = Error::new(ErrorKind::Unavailable, "gone");
                let error = if unknown { error.while_committing() } else { error };
                let fine = count.get() > 1;
                async move { if fine { Ok(()) } else { Err(error) } }
            };
            let deadline = Duration::from_secs(5);
            let ended =
                if unless_unknown { retry_unless_unknown(deadline, op).await } else { retry(deadline, op).await };
            (count.get(), ended.is_ok())
        };
        assert_eq!(attempts(false, true).await, (2, true));
        assert_eq!(attempts(true, true).await, (1, false));
        assert_eq!(attempts(true, false).await, (2, true));
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
