//! The cache and the lock: on a server in memory that loses what it is told to, and on a real one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chain;
mod contract;
mod fixtures;
mod invalidation;
mod lock;
mod real;
mod simulation;
