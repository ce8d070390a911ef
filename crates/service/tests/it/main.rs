//! The chassis at work: admin endpoints, readiness, supervision and drain of a toy service.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic fails the test, and tests run in real time"
)]

mod admin;
mod drain;
mod faults;
mod hung;
mod one_process;
mod reloading;
mod signals;
mod supervision;
mod toy;
