//! Orders for a running fleet, over its public API, and what became of them.
//!
//! [`Fleet`] is all that is needed of one: addresses, credentials, members. Runs are reproducible by a seed; each ends
//! with the checker's findings, and a broken invariant is an exit code of 1.

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
