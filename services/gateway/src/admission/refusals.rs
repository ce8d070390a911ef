//! Refusals for lack of capacity: counted by the limit, and with a reason that says who caused them.
//!
//! If everything is in use, the gateway is overloaded (`OVERLOADED`, which counts against its service level). If a
//! caller or an address has used up its share, it sends too much (`CALLER_LIMIT`, which doesn't).

use std::time::Duration;

use flotilla_rpc::{RpcError, Shortage};
use prometheus::{IntCounterVec, Opts, Registry};
use tonic::Code;

/// The retry delay for a refused client.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Calls a second.
    Rate,
    /// Slots for unary calls.
    Calls,
    /// Turns at a service.
    Turns,
    /// Slots for streams.
    Streams,
    /// Streams of one user about one resource.
    Watches,
    /// Requests whose body hasn't arrived.
    Arriving,
    /// Memory for connections, requests and responses.
    Memory,
}

impl Limit {
    const ALL: [Self; 7] =
        [Self::Rate, Self::Calls, Self::Turns, Self::Streams, Self::Watches, Self::Arriving, Self::Memory];

    fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Calls => "calls",
            Self::Turns => "turns",
            Self::Streams => "streams",
            Self::Watches => "watches",
            Self::Arriving => "arriving",
            Self::Memory => "memory",
        }
    }

    fn quota(self) -> &'static str {
        match self {
            Self::Rate => "calls a second",
            Self::Calls => "calls in flight",
            Self::Turns => "calls that a service works on",
            Self::Streams => "open streams",
            Self::Watches => "watches of one resource",
            Self::Arriving => "requests whose body has not arrived",
            Self::Memory => "memory of connections, requests and responses",
        }
    }
}

/// The counters.
#[derive(Debug, Clone)]
pub struct Refusals {
    shed: IntCounterVec,
    limited: IntCounterVec,
}

impl Refusals {
    /// Registers the counters.
    ///
    /// # Errors
    /// If the registry has them already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let vector = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let refusals = Self {
            shed: vector(
                "flotilla_gateway_shed_total",
                "Requests refused because of load, by exhausted resource",
                "limit",
            )?,
            limited: vector(
                "flotilla_gateway_limited_total",
                "Requests refused because their caller or address has used up its share, by resource",
                "limit",
            )?,
        };
        registry.register(Box::new(refusals.shed.clone()))?;
        registry.register(Box::new(refusals.limited.clone()))?;
        for limit in Limit::ALL {
            refusals.limited.with_label_values(&[limit.name()]);
        }
        for limit in [Limit::Calls, Limit::Streams, Limit::Memory] {
            refusals.shed.with_label_values(&[limit.name()]);
        }
        Ok(refusals)
    }

    /// Counts a refusal and returns its error.
    pub fn refuse(&self, limit: Limit, shortage: Shortage) -> RpcError {
        match shortage {
            Shortage::All => {
                self.shed.with_label_values(&[limit.name()]).inc();
                RpcError::new(Code::ResourceExhausted, "OVERLOADED", "the gateway is busy").retry_after(RETRY_AFTER)
            }
            Shortage::Caller => {
                self.limited.with_label_values(&[limit.name()]).inc();
                let text = format!("this caller or address has its share of {}", limit.quota());
                RpcError::new(Code::ResourceExhausted, "CALLER_LIMIT", text)
                    .quota("caller", limit.quota())
                    .retry_after(RETRY_AFTER)
            }
        }
    }

    /// Counts a refusal by the rate limit of an address, and returns its error.
    pub fn too_often(&self, wait: Duration) -> RpcError {
        self.limited.with_label_values(&[Limit::Rate.name()]).inc();
        RpcError::new(Code::ResourceExhausted, "RATE_LIMITED", "too many calls; slow down")
            .quota("address", Limit::Rate.quota())
            .retry_after(wait)
    }

    /// Counters with a registry of their own.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        Self::register(&Registry::new()).unwrap()
    }
}
