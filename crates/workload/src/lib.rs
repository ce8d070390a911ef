//! Places orders in a running fleet over its public API, and reports their outcomes.
//!
//! [`Fleet`] describes it: addresses, credentials, members. Runs are reproducible by a seed; each ends with the
//! checker's findings, and the exit code is 1 if an invariant is broken.

#[macro_use(print, println)]
extern crate flotilla_terminal;

pub mod chaos;
pub mod client;
pub mod demo;
mod fleet;
pub mod load;
pub mod outcome;
pub mod replay;

pub use self::fleet::{Credentials, Fleet, Member, Supervisor};
