//! Waits between attempts: doubled each time up to a limit, with jitter so that replicas don't march in step.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::random::{Random, unit};

/// A growing wait.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    step: u32,
}

impl Backoff {
    /// A wait of at most `first`, doubled each time up to `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, step: 0 }
    }

    /// The next wait: between half of its size and the whole.
    pub fn next(&mut self, random: &dyn Random) -> Duration {
        let size = self.first.saturating_mul(1 << self.step.min(20)).min(self.most);
        self.step += 1;
        size.mul_f64(0.5 + unit(random) / 2.0)
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.step = 0;
    }

    /// Waits; false if `shutdown` came first.
    pub async fn wait(&mut self, random: &dyn Random, shutdown: &CancellationToken) -> bool {
        let wait = self.next(random);
        shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_some()
    }
}
