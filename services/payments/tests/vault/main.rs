//! Payments, as it runs in production, with database credentials that Vault leases to it. `make test-vault` starts the
//! server and runs this.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking and lives in real time")]

#[path = "../../../../crates/secrets/tests/vault/bao.rs"]
#[allow(dead_code, reason = "shared with the tests of the store")]
mod bao;
#[path = "../../../../crates/secrets/tests/vault/database.rs"]
#[allow(dead_code, reason = "shared with the tests of the store")]
mod database;
mod process;
mod rotation;
