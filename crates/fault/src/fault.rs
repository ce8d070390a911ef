//! The faults and their names.

use std::fmt;
use std::str::FromStr;

use crate::injection::Parameter;

/// A fault that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Each transaction waits in PostgreSQL (`pg_sleep`).
    SlowDatabase,
    /// The relay publishes nothing; the outbox grows.
    BrokerStall,
    /// Consumers hold their current batch unacked and fetch no more.
    StuckConsumer,
    /// Charges are declined.
    DeclinedPayments,
    /// The relay also publishes damaged copies of events.
    PoisonMessages,
    /// Connections are taken from the pools and kept.
    LeakingPool,
}

impl Fault {
    /// All faults, in display order.
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

    /// Its parameters, besides the duration.
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

/// The name isn't that of a fault.
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
    fn each_fault_is_found_by_its_name_and_has_its_own_bit() {
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
