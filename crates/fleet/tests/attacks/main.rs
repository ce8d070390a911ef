//! Attacks: one client does its worst while honest clients go on, and the effect on them is measured.
//!
//! The tests share a fleet of their own; each attack has its own file. A test measures honest calls before, during and
//! after the attack, prints a table, and fails when an honest call fails or is refused. The long form also fails when
//! the 99th percentile of any kind of call more than doubles. That depends on the machine's speed, so only `make
//! test-attacks` checks it, which runs the release build on an otherwise idle machine. `make test-attacks-short` is the
//! short form. Neither is part of `cargo test`.
//!
//! Attackers use addresses of their own (127.0.0.2, 127.0.1.x), as they would in the real world.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic fails the test, and tests run in real time"
)]

mod attackers;
mod cancelled_calls;
mod control_group;
mod figures;
mod fleet;
mod held_streams;
mod honest;
mod http2;
mod idle_connections;
mod many_watches;
mod order_flood;
#[path = "../own_fleet/mod.rs"]
mod own_fleet;
mod read_flood;
mod small_memory;
mod unread_streams;
mod unsent_bodies;
