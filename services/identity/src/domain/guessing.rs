//! The waits after wrong secrets: some failures are free, then each wait is twice the previous one, and failures decay
//! one by one.

use std::time::Duration;

/// The limits of one counter of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Number of failures without a wait.
    pub free: u32,
    /// The maximum wait; the first is one second.
    pub longest: Duration,
    /// The time in which one failure decays.
    pub forget: Duration,
}

/// The first wait, in seconds.
const FIRST: f64 = 1.0;

impl Limit {
    /// For one account from one network: a user who has forgotten a password, or an attacker on the same network. At
    /// most 24 guesses per day in the long run.
    #[must_use]
    pub const fn of_account_and_network(free: u32) -> Self {
        Self { free, longest: Duration::from_secs(3600), forget: Duration::from_secs(3600) }
    }

    /// For one network over all accounts (it may be a whole office): a few passwords tried on many accounts.
    #[must_use]
    pub const fn of_network(free: u32) -> Self {
        Self { free, longest: Duration::from_secs(900), forget: Duration::from_secs(60) }
    }

    /// For one account over all networks: guesses from many machines.
    #[must_use]
    pub const fn of_account(free: u32) -> Self {
        Self { free, longest: Duration::from_secs(900), forget: Duration::from_secs(300) }
    }

    /// The wait after one failure, after two, and so on, in seconds; the last applies to all that follow.
    #[must_use]
    pub fn waits(self) -> Vec<f64> {
        let mut waits = vec![0.0; self.free as usize];
        let mut wait = FIRST;
        while wait < self.longest.as_secs_f64() {
            waits.push(wait);
            wait *= 2.0;
        }
        waits.push(self.longest.as_secs_f64());
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_a_second_on_once_the_free_failures_are_used_up() {
        let waits = Limit::of_account_and_network(3).waits();
        assert_eq!(waits[..6], [0.0, 0.0, 0.0, 1.0, 2.0, 4.0]);
        assert_eq!(waits[waits.len() - 2..], [2048.0, 3600.0]);
        assert_eq!(Limit { free: 0, longest: Duration::from_secs(1), ..Limit::of_network(0) }.waits(), [1.0]);
    }
}
