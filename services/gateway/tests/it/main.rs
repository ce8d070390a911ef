//! The gateway before services that are test_services: real servers on loopback, with known answers.

#![allow(clippy::unwrap_used, reason = "tests fail by a panic")]

mod attackers;
mod backends;
mod bad_input;
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
mod http2_client;
mod lost;
mod memory;
mod metrics;
mod passthrough;
mod reloading;
mod rest;
mod shares;
mod test_services;
mod tls;
mod under_attack;
mod upload;
mod web;
