//! A clock that follows tokio's time, which is virtual in a paused runtime.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flotilla_clock::Clock;
use tokio::time::Instant;

/// Starts at a fixed moment and runs with tokio.
#[derive(Debug, Clone, Copy)]
pub struct MemoryClock {
    start: Instant,
    base: SystemTime,
}

impl MemoryClock {
    /// Starts now, at the beginning of the year 2026.
    pub fn new() -> Self {
        Self { start: Instant::now(), base: UNIX_EPOCH + Duration::from_secs(1_767_225_600) }
    }
}

impl Default for MemoryClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MemoryClock {
    fn now(&self) -> SystemTime {
        self.base + self.start.elapsed()
    }
}
