//! Inventory on real servers: one file a behaviour.

#![allow(clippy::unwrap_used, reason = "tests fail by a panic")]

mod bad_input;
mod cache;
mod catalogue;
mod contention;
mod expiry;
mod imports;
mod list;
mod locks;
mod metrics;
mod prices;
mod reservations;
mod schema;
mod stock;
mod world;
