//! Faults with answers: each one is switched on under load, and its alert fires, its panel and its spans show it, its
//! runbook names it; then it is switched off, the alert clears, and nothing was lost.
//!
//! A fleet of the test's own, and a real Prometheus that evaluates the repository's own rules, ten times as fast. Run
//! by `make test-faults`, which gets Prometheus; not among the tests of `cargo test`, which has none.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic fails the test, and tests run in real time"
)]

mod answers;
mod exercise;
mod fleet;
mod panels;
mod prometheus;
mod rules;
