//! Growing pauses between attempts.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Pause before the first restart.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between restarts.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Repeats `attempt` with growing pauses until it succeeds or `stop` is cancelled.
pub async fn with_backoff<F, Fut>(stop: &CancellationToken, mut attempt: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let mut pause = FIRST_PAUSE;
    while !attempt().await {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
