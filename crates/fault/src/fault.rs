//! The faults and their names.

use std::fmt;
use std::str::FromStr;

use crate::injection::Parameter;

/// A fault that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Each transaction waits in PostgreSQL, by `pg_sleep`.
    SlowDatabase,
    /// The relay publishes nothing; the outbox grows.
    BrokerStall,
    /// Consumers hold the batch in hand, unacked, and take nothing more.
    StuckConsumer,
    /// Charges are declined.
    DeclinedPayments,
    /// Beside true events the relay publishes copies of them that nobody can read.
    PoisonMessages,
    /// Connections are taken from the pools and kept.
    LeakingPool,
}

impl Fault {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::SlowDatabase,
        Self::BrokerStall,
        Self::StuckConsumer,
        Self::DeclinedPayments,
        Self::PoisonMessages,
        Self::LeakingPool,
    ];

    /// Its name on the command line, in routes and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SlowDatabase => "slow-database",
            Self::BrokerStall => "broker-stall",
            Self::StuckConsumer => "stuck-consumer",
            Self::DeclinedPayments => "declined-payments",
            Self::PoisonMessages => "poison-messages",
            Self::LeakingPool => "leaking-pool",
        }
    }

    /// What can be said of its strength, beside how long it lasts.
    #[must_use]
    pub const fn parameters(self) -> &'static [Parameter] {
        match self {
            Self::SlowDatabase => &[Parameter::Delay, Parameter::Share],
            Self::DeclinedPayments | Self::PoisonMessages | Self::LeakingPool => &[Parameter::Share],
            Self::BrokerStall | Self::StuckConsumer => &[],
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) const fn bit(self) -> u8 {
        1 << self.index()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no fault has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown fault {0:?}; use one of {names}", names = Fault::ALL.map(Fault::name).join(", "))]
pub struct UnknownFault(pub String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Self::ALL.into_iter().find(|fault| fault.name() == name).ok_or_else(|| UnknownFault(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_found_by_its_name_and_has_a_bit_of_its_own() {
        let mut bits = 0;
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
            assert_eq!(bits & fault.bit(), 0);
            bits |= fault.bit();
        }
        let error = "slow-disk".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("slow-disk") && error.contains("leaking-pool"), "{error}");
    }
}
