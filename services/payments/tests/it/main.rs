//! Payments on real servers: one file a behaviour.

#![allow(clippy::unwrap_used, reason = "tests fail by a panic")]

mod accounts;
mod bad_input;
mod charges;
mod locks;
mod peer;
mod refunds;
mod rolling_upgrade;
mod schema;
mod statement;
mod support;
mod top_ups;
