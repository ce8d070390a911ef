//! The gateway before services that are toys: real servers on loopback, with known answers.

#![allow(clippy::unwrap_used, reason = "tests are told by a panic")]

mod bad_input;
mod cache;
mod connections;
mod drain;
mod events;
mod fixture;
mod http;
mod lost;
mod passthrough;
mod rest;
mod toys;
