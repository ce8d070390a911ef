//! What tests need: real servers of their own, fresh databases, callers with tokens, services in the process, and
//! assertions that fail when work is left undone.
//!
//! Guarantees:
//! * Servers are private to the test process, listen on loopback only and die with it; nothing else on the machine is
//!   touched.
//! * Each database, NATS account and Redis database handed out is a test's own.
//! * No wait is unbounded, and a failed one says what it waited for.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests are told by a panic and live in real time")]

pub mod contract;
pub mod frames;
pub mod memory;
pub mod otlp;

mod assertions;
mod database;
mod eventually;
mod harness;
mod held;
mod identity;
mod in_memory;
mod nats;
mod refusal;
mod servers;
mod stack;
mod streams;
mod timeouts;

pub use assertions::{assert_no_pending_acks, assert_nothing_left, assert_nothing_parked, assert_outbox_published};
pub use database::Database;
pub use eventually::{Settled, eventually};
pub use harness::ServiceHarness;
pub use held::Held;
pub use identity::TestIdentity;
pub use in_memory::{InMemory, in_memory, in_memory_with};
pub use nats::nats_client;
pub use refusal::{fields, reason, refusal};
pub use stack::{Stack, stack};
pub use streams::Streams;
pub use timeouts::{TIMEOUT, client_settings, common_settings, server_settings};
