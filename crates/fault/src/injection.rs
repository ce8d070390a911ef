//! The strength and duration of a fault, within bounds.

use std::time::Duration;

use crate::fault::Fault;

/// Maximum duration of a fault.
pub const MAX_DURATION: Duration = Duration::from_secs(3_600);
/// Maximum delay of a statement. A longer one would only reach the statement timeout.
pub const MAX_DELAY: Duration = Duration::from_secs(4);

/// A parameter of a fault's strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// How long an affected operation waits.
    Delay,
    /// The share of operations that are affected, in percent.
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

/// A fault's strength and duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The duration, after which the fault ends by itself.
    pub lasts: Duration,
    /// How long an affected operation waits.
    pub delay: Duration,
    /// The share of operations that are affected, in percent: 1 to 100.
    pub share: u8,
}

impl Default for Injection {
    /// A minute, with a delay of a second, for all operations.
    fn default() -> Self {
        Self { lasts: Duration::from_secs(60), delay: Duration::from_secs(1), share: 100 }
    }
}

impl Injection {
    /// An injection of a fault; `None` means the default.
    ///
    /// # Errors
    /// A value is out of bounds, or the fault has no such parameter.
    pub fn of(
        fault: Fault,
        lasts: Option<Duration>,
        delay: Option<Duration>,
        share: Option<u8>,
    ) -> Result<Self, Refused> {
        let default = Self::default();
        for (parameter, given) in [(Parameter::Delay, delay.is_some()), (Parameter::Share, share.is_some())] {
            if given && !fault.parameters().contains(&parameter) {
                return Err(Refused::UnknownParameter { fault, parameter: parameter.name() });
            }
        }
        // Damaging all events would needlessly fill the tables of parked messages.
        let share = share.unwrap_or(if fault == Fault::PoisonMessages { 10 } else { default.share });
        let injection = Self { lasts: lasts.unwrap_or(default.lasts), delay: delay.unwrap_or(default.delay), share };
        injection.checked()
    }

    /// The injection itself, if its values are within bounds.
    pub(crate) fn checked(self) -> Result<Self, Refused> {
        if self.lasts.is_zero() || self.lasts > MAX_DURATION {
            return Err(Refused::OutOfBounds { parameter: "for", allowed: "above 0s, up to 1h" });
        }
        if self.delay.is_zero() || self.delay > MAX_DELAY {
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
    /// The settings don't allow faults.
    #[error("faults are not allowed here; set service.faults, outside production")]
    NotAllowed,
    /// This service doesn't support the fault.
    #[error("{0} has no effect in this service")]
    Unsupported(Fault),
    /// A value is out of bounds.
    #[error("{parameter} must be {allowed}")]
    OutOfBounds {
        /// The parameter.
        parameter: &'static str,
        /// The bounds.
        allowed: &'static str,
    },
    /// The fault has no such parameter.
    #[error("{fault} has no {parameter}")]
    UnknownParameter {
        /// The fault.
        fault: Fault,
        /// The parameter.
        parameter: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn omitted_parameters_have_defaults_and_unknown_ones_are_refused() {
        let injection = Injection::of(Fault::SlowDatabase, None, Some(Duration::from_secs(2)), None).unwrap();
        assert_eq!((injection.lasts.as_secs(), injection.delay.as_secs(), injection.share), (60, 2, 100));
        let refused = Injection::of(Fault::BrokerStall, None, Some(Duration::from_secs(2)), None).unwrap_err();
        assert_eq!(refused.to_string(), "broker-stall has no delay");
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        let lasting = |lasts| Injection::of(Fault::BrokerStall, Some(lasts), None, None);
        assert!(lasting(MAX_DURATION).is_ok());
        assert!(lasting(MAX_DURATION + Duration::from_secs(1)).is_err());
        assert!(lasting(Duration::ZERO).is_err());
        for share in [0, 101] {
            assert!(Injection::of(Fault::LeakingPool, None, None, Some(share)).is_err());
        }
        let slow = |delay| Injection::of(Fault::SlowDatabase, None, Some(delay), None);
        assert!(slow(MAX_DELAY).is_ok());
        assert!(slow(MAX_DELAY * 2).is_err());
    }
}
