//! Faults that an operator switches on in a running service, to see what an alert, a panel and a runbook are worth.
//!
//! Owns which faults there are ([`Fault`]), how strong one is ([`Injection`]) and whether it is on ([`Faults`]); what a
//! fault does is done where it strikes, by who asks the handle. Guarantees: a handle that allows no faults can't be
//! switched; each fault ends by itself, at the latest after [`LONGEST`]; while none is on, asking costs one relaxed
//! load; what was kept for a fault is given back when it ends.

mod fault;
mod gauge;
mod injection;
mod switches;

pub use fault::{Fault, UnknownFault};
pub use injection::{Injection, LONGEST, LONGEST_DELAY, Parameter, Refused};
pub use switches::{Faults, Report};
