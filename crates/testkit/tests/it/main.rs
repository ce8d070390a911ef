//! The testkit on real servers.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests fail by panicking and run in real time")]

mod cancelling;
mod echo;
mod exemplar;
mod harness;
mod in_memory;
mod schema;
mod stack;
