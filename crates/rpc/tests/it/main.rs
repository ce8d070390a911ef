//! The server's stack over real connections, around a toy implementation of the fleet's services.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic fails the test, and tests run in real time"
)]

mod access;
mod authority;
mod calls;
mod cardinality;
mod catalogue;
mod client_balance;
mod client_breaker;
mod client_calls;
mod client_partition;
mod client_replica;
mod client_retry;
mod client_silence;
mod client_streams;
mod compression;
mod deadlines;
mod declared;
mod drain;
mod errors_page;
// The testkit stands above this crate: with it, a change here would build half of the house before these tests.
#[path = "../../../testkit/src/frames.rs"]
mod frames;
mod health;
mod local;
mod peers;
mod pipes;
mod places;
mod rate_limit;
mod reflection;
mod resets;
mod shares;
mod streams;
mod tls;
mod toy;
