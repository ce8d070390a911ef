//! Identity on real servers: one file a behaviour.

#![allow(clippy::unwrap_used, reason = "tests fail by a panic")]

mod bad_input;
mod guessing;
mod login;
mod revocation;
mod rotation;
mod schema;
mod sessions;
mod sign_up;
mod start;
mod support;
mod unicode;
mod users;
