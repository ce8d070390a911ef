//! The servers as their users see them: real ones, fetched once into the workspace's cache.

#![allow(clippy::unwrap_used, reason = "what a test can't go on without fails it")]

mod guard;
mod layout;
mod nats;
mod postgres;
mod redis;
mod support;
