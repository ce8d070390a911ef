//! Attacks: while one client does its worst, honest ones go on, and what they feel of it is measured.
//!
//! A fleet of the tests' own, one file an attack. Each measures honest calls before, during and after the attack, prints
//! a table, and fails when an honest call fails or is refused. The long form also fails when the 99th percentile of any
//! kind of call is more than twice what it is without the attack: that is a matter of the machine's speed, so it is left
//! to `make test-attacks`, which runs the release build on a machine that does nothing else. `make test-attacks-short` is
//! the short form. Neither is among the tests of `cargo test`.
//!
//! Attackers come from an address of their own (127.0.0.2), as they would in the world.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests are told by a panic and live in real time")]

mod attackers;
mod cancelled_calls;
mod figures;
mod fleet;
mod honest;
mod many_watches;
mod order_flood;
mod read_flood;
mod unread_streams;
