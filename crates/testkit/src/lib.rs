//! Support for tests: private servers, new databases, callers with tokens, services in the test process, and assertions
//! that fail if work is left undone.
//!
//! Guarantees:
//! * Servers are private to the test process, listen on loopback only and end with it; nothing else on the machine is
//!   changed.
//! * Each database, NATS account and Redis database belongs to one test.
//! * Every wait has a timeout, and its error says what it waited for.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests fail by panicking and run in real time")]

pub mod contract;
pub mod frames;
pub mod memory;
pub mod otlp;

mod assertions;
mod database;
mod eventually;
mod harness;
mod identity;
mod in_memory;
mod nats;
mod open_transaction;
mod refusal;
mod schema;
mod servers;
mod stack;
mod streams;
mod timeouts;

pub use assertions::{assert_no_pending_acks, assert_nothing_left, assert_nothing_parked, assert_outbox_published};
pub use database::Database;
pub use eventually::{Settled, eventually};
pub use harness::ServiceHarness;
pub use identity::TestIdentity;
pub use in_memory::{InMemory, in_memory, in_memory_with};
pub use nats::nats_client;
pub use open_transaction::OpenTransaction;
pub use refusal::{fields, reason, refusal};
pub use schema::{SHARED, assert_schema};
pub use stack::{Stack, stack};
pub use streams::Streams;
pub use timeouts::{TIMEOUT, client_settings, common_settings, process_settings, server_settings};
