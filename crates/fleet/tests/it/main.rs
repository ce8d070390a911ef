//! Tests of the whole fleet: the command that was compiled with them, started as `make up` starts it, on servers of its
//! own.
//!
//! The tests share one fleet and take turns, since some of them kill its members. Each ends with the checker.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod backup;
mod bad_input;
mod canary;
mod cancel;
mod checker;
mod crash;
mod credentials;
mod database;
mod faults;
mod feeds;
mod flags;
mod fleet;
#[path = "../../../telemetry/tests/grammar/mod.rs"]
mod grammar;
mod happy;
mod http;
mod idempotency;
mod lifecycle;
mod losses;
mod metrics_page;
mod one_process;
#[path = "../own_fleet/mod.rs"]
mod own_fleet;
mod poison;
mod redis;
mod refusals;
mod replay;
mod surface;
mod timeline;
mod tls;
mod trace;
mod wipe;
