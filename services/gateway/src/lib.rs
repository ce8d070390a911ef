//! The public edge: all services on one port, as REST with server-sent events and as gRPC.
//!
//! Owns nothing and keeps nothing: no tables, no subjects; Redis holds copies of product reads for a while. There is
//! no `domain/`, `storage/` or `events/` here; `routes` and `transcode` are the pure part. Guarantees:
//! * Only methods with a `google.api.http` option are public, in REST and gRPC alike, and each has an access rule.
//! * Bad input is refused with an error that names the field, in the protocol's own form, and never with a 5xx.
//! * What can't be taken on is refused at once (429, `RESOURCE_EXHAUSTED`) and never half done.
//! * gRPC messages pass undecoded; what a service answers, its details and trailers included, arrives unchanged.

pub mod config;

mod access;
mod backend;
mod build;
mod edge;
mod grpc;
mod metrics;
mod problem;
mod request_id;
mod response_cache;
mod rest;
mod routes;
mod server;
mod trace;
mod transcode;

pub use build::Gateway;
pub use config::Settings;
