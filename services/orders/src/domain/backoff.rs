//! When a command without a reply is re-sent.

use std::time::Duration;

/// How often and how fast a step is re-sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Schedule {
    /// Wait after the first attempt.
    pub first: Duration,
    /// Maximum wait.
    pub longest: Duration,
    /// Published re-sends of a step before it is given up. Compensations are never given up.
    pub resends: u32,
}

/// What to do with a step whose wait is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Send its commands again, as this attempt.
    Resend(u32),
    /// Give up: the re-sends are used up.
    GiveUp,
}

impl Schedule {
    /// Wait after the publication of an attempt (from 1). `chance` in 0..1 spreads waits by 25% in either direction, so
    /// that sagas stalled by the same outage aren't re-sent together.
    #[must_use]
    pub fn wait(&self, attempt: u32, chance: f64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(self.longest).mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// Decides about a step that was sent `attempt` times, each of them published.
    #[must_use]
    pub fn due(&self, attempt: u32, compensating: bool) -> Due {
        if attempt > self.resends && !compensating { Due::GiveUp } else { Due::Resend(attempt.saturating_add(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule =
        Schedule { first: Duration::from_secs(1), longest: Duration::from_secs(30), resends: 20 };

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<u64> = (1..8).map(|attempt| SCHEDULE.wait(attempt, 0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(SCHEDULE.wait(u32::MAX, 0.5).as_secs(), 30);
    }

    #[test]
    fn chance_spreads_a_wait_by_a_quarter_either_way() {
        assert_eq!(SCHEDULE.wait(1, 0.0), Duration::from_millis(750));
        assert_eq!(SCHEDULE.wait(1, 1.0), Duration::from_millis(1250));
    }

    #[test]
    fn a_step_is_given_up_after_twenty_resends_and_a_compensation_never() {
        assert_eq!(SCHEDULE.due(1, false), Due::Resend(2));
        assert_eq!(SCHEDULE.due(20, false), Due::Resend(21));
        assert_eq!(SCHEDULE.due(21, false), Due::GiveUp);
        assert_eq!(SCHEDULE.due(5000, true), Due::Resend(5001));
    }
}
