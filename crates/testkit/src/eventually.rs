//! Waiting for a condition, with a timeout.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The result of a probe: `bool`, `Option` or `Result`.
pub trait Settled {
    /// The value once the condition holds.
    type Value;

    /// The value, or why there is none yet.
    ///
    /// # Errors
    /// The condition doesn't hold yet.
    fn settled(self) -> Result<Self::Value, String>;
}

impl Settled for bool {
    type Value = ();

    fn settled(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("still false".to_owned()) }
    }
}

impl<T> Settled for Option<T> {
    type Value = T;

    fn settled(self) -> Result<T, String> {
        self.ok_or_else(|| "still none".to_owned())
    }
}

impl<T, E: Display> Settled for Result<T, E> {
    type Value = T;

    fn settled(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Calls `probe` until its condition holds, and returns the value.
///
/// # Panics
/// The condition doesn't hold within `timeout`; the message has `what` and the probe's last answer.
pub async fn eventually<P, Fut>(what: &str, timeout: Duration, mut probe: P) -> <Fut::Output as Settled>::Value
where
    P: FnMut() -> Fut,
    Fut: Future<Output: Settled>,
{
    let end = Instant::now() + timeout;
    let mut pause = FIRST_PAUSE;
    let mut last = "no answer yet".to_owned();
    loop {
        match timeout_at(end, probe()).await.map(Settled::settled) {
            Ok(Ok(value)) => return value,
            Ok(Err(reason)) => last = reason,
            Err(_) => panic!("{what}: not within {timeout:?}; last: {last}"),
        }
        assert!(Instant::now() < end, "{what}: not within {timeout:?}; last: {last}");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_returns_the_probes_value() {
        let mut calls = 0;
        let value = eventually("three", Duration::from_secs(5), || {
            calls += 1;
            std::future::ready((calls == 3).then_some(calls))
        })
        .await;
        assert_eq!(value, 3);
        eventually("true", Duration::from_secs(1), || async { true }).await;
    }

    #[tokio::test]
    #[should_panic(expected = "stock: not within 20ms; last: two left")]
    async fn a_timeout_names_the_condition_and_the_last_answer() {
        eventually("stock", Duration::from_millis(20), || async { Err::<(), _>("two left") }).await;
    }

    #[tokio::test]
    #[should_panic(expected = "an answer: not within 20ms; last: no answer yet")]
    async fn a_probe_that_hangs_times_out() {
        eventually("an answer", Duration::from_millis(20), std::future::pending::<bool>).await;
    }
}
