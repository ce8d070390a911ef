//! Proof that the runtime makes progress: a task records the time and how late it ran; callers read how long ago that
//! was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, Registry};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_millis(500);
/// Buckets of a beat's lateness: from a timer's normal lateness up to a stopped heart.
const DELAYS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];
/// Without a beat for this long, the heart has stopped.
const LIMIT: Duration = Duration::from_secs(10);

/// When the runtime last ran a task that was due.
#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    started: Instant,
    /// Milliseconds after `started`.
    last: Arc<AtomicU64>,
    delay: Histogram,
}

impl Heartbeat {
    /// A heart whose delays are exported by a registry.
    ///
    /// # Errors
    /// The metric is already registered.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Lateness of a timer of half a second: how long a ready task waits for a worker";
        let delay = HistogramOpts::new("flotilla_runtime_delay_seconds", help).buckets(DELAYS.to_vec());
        let delay = Histogram::with_opts(delay)?;
        registry.register(Box::new(delay.clone()))?;
        Ok(Self { started: Instant::now(), last: Arc::default(), delay })
    }

    /// Beats until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            self.last.store(self.millis(), Ordering::Relaxed);
            let began = Instant::now();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            self.delay.observe(began.elapsed().saturating_sub(INTERVAL).as_secs_f64());
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
    async fn a_stopped_heart_is_noticed() {
        let heartbeat = Heartbeat::new(&Registry::new()).unwrap();
        let shutdown = CancellationToken::new();
        let beating = tokio::spawn(heartbeat.clone().run(shutdown.clone()));
        tokio::time::sleep(LIMIT * 3).await;
        assert!(heartbeat.is_alive());
        shutdown.cancel();
        beating.await.unwrap();
        tokio::time::advance(LIMIT).await;
        assert!(!heartbeat.is_alive());
        assert!(heartbeat.delay.get_sample_count() >= 59, "{}", heartbeat.delay.get_sample_count());
    }
}
