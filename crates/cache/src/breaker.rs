//! A small circuit breaker: after a few consecutive failures calls are refused for a while, then one trial call is
//! allowed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Number of consecutive failures that open it.
const LIMIT: u32 = 3;
/// How long it stays open before a trial call is allowed.
const PAUSE: Duration = Duration::from_millis(500);

/// Lock-free; a race costs one call more or less.
pub(crate) struct Breaker {
    epoch: Instant,
    failures: AtomicU32,
    /// Milliseconds after the epoch until which calls are refused while it is open.
    until: AtomicU64,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now(), failures: AtomicU32::new(0), until: AtomicU64::new(0) }
    }

    /// Whether a call may be made.
    pub(crate) fn allows(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) < LIMIT {
            return true;
        }
        let (now, until) = (self.now(), self.until.load(Ordering::Relaxed));
        now >= until
            // Of concurrent callers after the pause, only one makes the trial call.
            && self.until.compare_exchange(until, now + pause(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn succeeded(&self) {
        // Read first: a cache line that is only read stays in the caches of all cores.
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn failed(&self) {
        self.until.store(self.now() + pause(), Ordering::Relaxed);
        // Saturates at the limit, so that it can't wrap around.
        if self.failures.load(Ordering::Relaxed) < LIMIT {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= LIMIT
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

const fn pause() -> u64 {
    PAUSE.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(breaker: &mut Breaker, wait: Duration) {
        breaker.epoch = breaker.epoch.checked_sub(wait).unwrap();
    }

    #[test]
    fn it_opens_only_after_consecutive_failures() {
        let breaker = Breaker::new();
        for _ in 0..10 {
            breaker.failed();
            breaker.failed();
            breaker.succeeded();
        }
        assert!(breaker.allows() && !breaker.is_open());
        for _ in 0..LIMIT {
            assert!(breaker.allows());
            breaker.failed();
        }
        assert!(!breaker.allows() && breaker.is_open());
    }

    #[test]
    fn a_trial_call_after_the_pause_closes_it_on_success() {
        let mut breaker = Breaker::new();
        (0..LIMIT).for_each(|_| breaker.failed());
        after(&mut breaker, PAUSE);
        assert!(breaker.allows());
        assert!(!breaker.allows(), "a second call during the trial call");
        breaker.succeeded();
        assert!(breaker.allows() && breaker.allows());
    }

    #[test]
    fn a_failed_trial_call_keeps_it_open() {
        let mut breaker = Breaker::new();
        (0..LIMIT).for_each(|_| breaker.failed());
        for _ in 0..3 {
            after(&mut breaker, PAUSE);
            assert!(breaker.allows());
            breaker.failed();
            assert!(!breaker.allows());
        }
    }
}
