//! Proof that the runtime turns: a task that notes the time, and whoever asks how long ago.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_millis(500);
/// A heart that hasn't beaten for this long has stopped.
const LIMIT: Duration = Duration::from_secs(10);

/// When the runtime last ran a task that was due.
#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    started: Instant,
    /// Milliseconds after `started`.
    last: Arc<AtomicU64>,
}

impl Heartbeat {
    pub fn new() -> Self {
        Self { started: Instant::now(), last: Arc::default() }
    }

    /// Beats until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            self.last.store(self.millis(), Ordering::Relaxed);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// How long ago the heart beat.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.millis().saturating_sub(self.last.load(Ordering::Relaxed)))
    }

    pub fn is_alive(&self) -> bool {
        self.age() < LIMIT
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_heart_that_stops_beating_is_noticed() {
        let heartbeat = Heartbeat::new();
        let shutdown = CancellationToken::new();
        let beating = tokio::spawn(heartbeat.clone().run(shutdown.clone()));
        tokio::time::sleep(LIMIT * 3).await;
        assert!(heartbeat.is_alive());
        shutdown.cancel();
        beating.await.unwrap();
        tokio::time::advance(LIMIT).await;
        assert!(!heartbeat.is_alive());
    }
}
