//! Faults that an operator switches on in a running service, to try out alerts, dashboards and runbooks.
//!
//! Owns the list of faults ([`Fault`]), their strength ([`Injection`]) and whether they are on ([`Faults`]). The effect of
//! a fault is implemented by the code that checks the handle. Guarantees: a handle that allows no faults can't switch any
//! on; each fault ends by itself, after [`MAX_DURATION`] at the latest; while none is on, a check costs one relaxed load;
//! what is kept for a fault is dropped when it ends.

mod fault;
mod gauge;
mod injection;
mod switches;

pub use fault::{Fault, UnknownFault};
pub use injection::{Injection, MAX_DELAY, MAX_DURATION, Parameter, Refused};
pub use switches::{Faults, Report};
