//! Real servers, downloaded once into the workspace's cache.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod guard;
mod layout;
mod nats;
mod postgres;
mod redis;
mod support;
