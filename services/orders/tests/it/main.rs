//! Orders on real servers: one file a behaviour.

#![allow(clippy::unwrap_used, reason = "tests fail by a panic")]

mod bad_input;
mod broker_down;
mod cancelling;
mod catalogue;
mod clocks;
mod fairness;
mod locks;
mod metrics;
mod participants;
mod paused;
mod placing;
mod pricing;
mod resending;
mod rolling_upgrade;
mod saga;
mod schema;
mod visibility;
mod watching;
mod world;
