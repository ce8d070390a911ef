//! The store `vault` against a real server (OpenBao), whose databases are a real PostgreSQL. `make test-vault` starts the
//! server and runs this.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking and runs in real time")]

mod bao;
mod database;
mod keys;
mod leases;
mod logins;
mod pod;
mod rotation;
