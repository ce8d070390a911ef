//! A rolling upgrade under load: build N serves, N+1 expands the schema and takes over service by service with both at
//! work on the same streams, then all is rolled back the same way, rolled forward again, and the schema contracted.
//!
//! No request may fail beyond what the client's own repeats hide, every old and new message must have crossed every old
//! and new service, and the invariants hold at each halt. Run by `make upgrade-test`, which makes the builds; not among
//! the tests of `cargo test`, which has none of them.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic fails the test, and tests run in real time"
)]

mod beside;
mod crossing;
mod feed;
mod fleet;
mod load;
mod rest;
mod story;
mod tally;
