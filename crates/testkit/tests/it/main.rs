//! The testkit on real servers.

#![allow(clippy::unwrap_used)]

mod harness;
mod stack;
