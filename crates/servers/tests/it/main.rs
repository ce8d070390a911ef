//! The servers as their users see them: real ones, fetched once into the workspace's cache.

mod guard;
mod layout;
mod nats;
mod postgres;
mod redis;
mod support;
