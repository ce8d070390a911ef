//! The testkit on real servers.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests are told by a panic and live in real time")]

mod cancelling;
mod echo;
mod exemplar;
mod harness;
mod in_memory;
mod stack;
