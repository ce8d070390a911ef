//! Tests of the whole fleet: the release build, started as `make up` starts it, on servers of its own.
//!
//! The tests share one fleet and take turns, since some of them kill its members. Each ends with the checker.

mod bad_input;
mod cancel;
mod crash;
mod fleet;
mod happy;
mod http;
mod idempotency;
mod poison;
mod redis;
mod refusals;
mod wipe;
