//! The guarantees of messaging, each as a test: in memory, where time is virtual and faults are planted, and on real
//! PostgreSQL and NATS.

#![allow(clippy::unwrap_used, missing_docs)]

mod broker;
mod fixtures;
mod frames;
mod log;
mod memory;
mod real;
mod store;
