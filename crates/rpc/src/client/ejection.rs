//! Outlier ejection: an address that keeps failing isn't called for a while, and for longer each time.

use std::time::Duration;

use tokio::time::Instant;

/// The maximum length of an ejection, as a multiple of the first.
const LONGEST: u32 = 32;

/// When an address is ejected, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Failures in a row.
    pub after: u32,
    /// Length of the first ejection.
    pub first: Duration,
}

/// The record of one address.
#[derive(Debug, Default)]
pub(crate) struct Ejection {
    /// Failures since the last success.
    failures: u32,
    /// Length and end of the last ejection.
    last: Option<(Duration, Instant)>,
}

impl Ejection {
    /// Whether the address is ejected now.
    pub fn is_active(&self, now: Instant) -> bool {
        self.last.is_some_and(|(_, end)| now < end)
    }

    /// Records a success. Past failures are forgotten once the address has been back for as long as it was ejected.
    pub fn succeeded(&mut self, now: Instant) {
        if self.is_active(now) {
            return;
        }
        self.failures = 0;
        if self.last.is_some_and(|(length, end)| now >= end + length) {
            self.last = None;
        }
    }

    /// Records a failure, and returns whether the address is ejected, which happens only if there is `room`. An address
    /// that has just come back is ejected again at its first failure.
    pub fn failed(&mut self, now: Instant, rules: Rules, room: bool) -> bool {
        if self.is_active(now) {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < rules.after || !room {
            return false;
        }
        let length = self.last.map_or(rules.first, |(length, _)| (length * 2).min(rules.first * LONGEST));
        self.last = Some((length, now + length));
        self.failures = rules.after - 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { after: 3, first: Duration::from_secs(1) };

    #[test]
    fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
        let (mut ejection, now) = (Ejection::default(), Instant::now());
        for _ in 0..10 {
            assert!(!ejection.failed(now, RULES, true));
            assert!(!ejection.failed(now, RULES, true));
            ejection.succeeded(now);
        }
        assert!(!ejection.failed(now, RULES, true));
        assert!(!ejection.failed(now, RULES, true));
        assert!(ejection.failed(now, RULES, true));
        assert!(ejection.is_active(now));
        assert!(!ejection.is_active(now + Duration::from_secs(1)));
    }

    #[test]
    fn each_ejection_is_longer_up_to_a_bound() {
        let (mut ejection, mut now) = (Ejection::default(), Instant::now());
        let mut lengths = Vec::new();
        for _ in 0..8 {
            while !ejection.failed(now, RULES, true) {}
            let (length, end) = ejection.last.unwrap();
            lengths.push(length.as_secs());
            now = end;
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 32, 32]);
    }

    #[test]
    fn an_address_that_came_back_is_ejected_at_its_first_failure_until_it_has_recovered() {
        let (mut ejection, now) = (Ejection::default(), Instant::now());
        while !ejection.failed(now, RULES, true) {}
        let back = now + Duration::from_secs(1);
        assert!(ejection.failed(back, RULES, true), "one failure is enough");
        let back = back + Duration::from_secs(2);
        ejection.succeeded(back + Duration::from_secs(2));
        while !ejection.failed(back, RULES, true) {}
        assert_eq!(ejection.last.unwrap().0, Duration::from_secs(1), "forgotten");
    }

    #[test]
    fn no_address_is_ejected_without_room() {
        let (mut ejection, now) = (Ejection::default(), Instant::now());
        assert!((0..10).all(|_| !ejection.failed(now, RULES, false)));
    }
}
