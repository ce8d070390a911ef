//! How strong a fault is and how long it lasts; always within bounds.

use std::time::Duration;

use crate::fault::Fault;

/// No fault lasts longer than this without being switched on again.
pub const LONGEST: Duration = Duration::from_secs(3_600);
/// No statement is held up for longer: a longer sleep would only meet the statement's own limit.
pub const LONGEST_DELAY: Duration = Duration::from_secs(4);

/// What can be said of a fault's strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// How long what is struck waits.
    Delay,
    /// How much of what comes by is struck, in percent.
    Share,
}

impl Parameter {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Share => "share",
        }
    }
}

/// A fault's strength and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injection {
    /// After this long the fault ends by itself.
    pub lasts: Duration,
    /// How long what is struck waits.
    pub delay: Duration,
    /// How much of what comes by is struck, in percent: 1 to 100.
    pub share: u8,
}

impl Default for Injection {
    /// A minute, a second, everything.
    fn default() -> Self {
        Self { lasts: Duration::from_secs(60), delay: Duration::from_secs(1), share: 100 }
    }
}

impl Injection {
    /// An injection of a fault; what isn't given takes its default.
    ///
    /// # Errors
    /// A value out of bounds, or one that this fault has no use for.
    pub fn of(
        fault: Fault,
        lasts: Option<Duration>,
        delay: Option<Duration>,
        share: Option<u8>,
    ) -> Result<Self, Refused> {
        let default = Self::default();
        for (parameter, given) in [(Parameter::Delay, delay.is_some()), (Parameter::Share, share.is_some())] {
            if given && !fault.parameters().contains(&parameter) {
                return Err(Refused::Useless { fault, parameter: parameter.name() });
            }
        }
        // Every event damaged would fill the tables of parked messages for nothing.
        let share = share.unwrap_or(if fault == Fault::PoisonMessages { 10 } else { default.share });
        let injection = Self { lasts: lasts.unwrap_or(default.lasts), delay: delay.unwrap_or(default.delay), share };
        injection.checked()
    }

    /// The same, if its values are within bounds.
    pub(crate) fn checked(self) -> Result<Self, Refused> {
        if self.lasts.is_zero() || self.lasts > LONGEST {
            return Err(Refused::OutOfBounds { parameter: "for", allowed: "above 0s, up to 1h" });
        }
        if self.delay.is_zero() || self.delay > LONGEST_DELAY {
            return Err(Refused::OutOfBounds { parameter: "delay", allowed: "above 0s, up to 4s" });
        }
        if !(1..=100).contains(&self.share) {
            return Err(Refused::OutOfBounds { parameter: "share", allowed: "a percentage from 1 to 100" });
        }
        Ok(self)
    }
}

/// Why a fault isn't switched on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The settings allow none.
    #[error("faults are not allowed here: set service.faults, outside of production")]
    NotAllowed,
    /// Nothing in this service is struck by it.
    #[error("{0} has no effect in this service")]
    StrikesNothing(Fault),
    /// A value is out of bounds.
    #[error("{parameter} must be {allowed}")]
    OutOfBounds {
        /// Which one.
        parameter: &'static str,
        /// The bounds.
        allowed: &'static str,
    },
    /// A value that changes nothing about this fault.
    #[error("{fault} has no {parameter}")]
    Useless {
        /// The fault.
        fault: Fault,
        /// What was given.
        parameter: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_takes_its_default_and_what_is_useless_is_refused() {
        let injection = Injection::of(Fault::SlowDatabase, None, Some(Duration::from_secs(2)), None).unwrap();
        assert_eq!((injection.lasts.as_secs(), injection.delay.as_secs(), injection.share), (60, 2, 100));
        let refused = Injection::of(Fault::BrokerStall, None, Some(Duration::from_secs(2)), None).unwrap_err();
        assert_eq!(refused.to_string(), "broker-stall has no delay");
    }

    #[test]
    fn nothing_lasts_for_ever() {
        let lasting = |lasts| Injection::of(Fault::BrokerStall, Some(lasts), None, None);
        assert!(lasting(LONGEST).is_ok());
        assert!(lasting(LONGEST + Duration::from_secs(1)).is_err());
        assert!(lasting(Duration::ZERO).is_err());
        for share in [0, 101] {
            assert!(Injection::of(Fault::LeakingPool, None, None, Some(share)).is_err());
        }
        let slow = |delay| Injection::of(Fault::SlowDatabase, None, Some(delay), None);
        assert!(slow(LONGEST_DELAY).is_ok());
        assert!(slow(LONGEST_DELAY * 2).is_err());
    }
}
