//! The server's stack over real connections, around a toy implementation of the fleet's services.

#![allow(clippy::unwrap_used)]

mod access;
mod calls;
mod deadlines;
mod drain;
mod health;
mod reflection;
mod toy;
