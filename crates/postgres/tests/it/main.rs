//! The promises of this crate, kept against a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backfill;
mod bootstrap;
mod deadlines;
mod errors;
mod faults;
mod group_commit;
mod migrate;
mod pipelining;
mod restart;
mod retry;
mod roles;
mod rotation;
mod row_security;
mod rows;
mod split_column;
mod support;
mod transactions;
