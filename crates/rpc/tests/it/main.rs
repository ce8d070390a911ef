//! The server's stack over real connections, around a toy implementation of the fleet's services.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests are told by a panic and live in real time")]

mod access;
mod calls;
mod deadlines;
mod drain;
mod health;
mod reflection;
mod toy;
