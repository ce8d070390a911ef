//! The promises of this crate, kept against a real PostgreSQL.

mod bootstrap;
mod errors;
mod group_commit;
mod migrate;
mod pipelining;
mod restart;
mod retry;
mod row_security;
mod support;
mod transactions;
