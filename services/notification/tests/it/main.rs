//! Notification on real servers: one file a behaviour.

#![allow(clippy::unwrap_used, reason = "tests fail by a panic")]

mod bad_input;
mod feed;
mod preferences;
mod privacy;
mod recording;
mod restored;
mod rolling_upgrade;
mod schema;
mod single_notice;
mod subscription;
mod world;
