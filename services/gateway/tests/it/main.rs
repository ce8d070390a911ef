//! The gateway before services that are toys: real servers on loopback, with known answers.

#![allow(clippy::unwrap_used, reason = "tests are told by a panic")]

mod attackers;
mod backends;
mod bad_input;
mod besieged;
mod cache;
mod connect;
mod connections;
mod drain;
mod events;
mod fixture;
mod frames;
mod grpc_web;
mod hardening;
mod header_fields;
mod http;
mod lost;
mod memory;
mod metrics;
mod opener;
mod passthrough;
mod reloading;
mod rest;
mod shares;
mod tls;
mod toys;
mod upload;
mod web;
