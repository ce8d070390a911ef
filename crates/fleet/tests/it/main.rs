//! Tests of the whole fleet: the release build, started as `make up` starts it, on servers of its own.
//!
//! The tests share one fleet and take turns, since some of them kill its members. Each ends with the checker.

#![allow(clippy::unwrap_used, reason = "tests are told by a panic")]

mod bad_input;
mod cancel;
mod checker;
mod crash;
mod feeds;
mod fleet;
mod happy;
mod http;
mod idempotency;
mod lifecycle;
mod poison;
mod redis;
mod refusals;
mod replay;
mod surface;
mod timeline;
mod tls;
mod wipe;
