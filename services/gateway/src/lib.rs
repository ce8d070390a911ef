//! The public edge: all services on one port, as REST, gRPC, gRPC-Web and Connect.
//!
//! Owns nothing and keeps nothing: no tables, no subjects; Redis holds copies of product reads for a while. There is
//! no `domain/`, `storage/` or `events/` here; `routes` is the pure part, with the crate `flotilla-transcode`. Guarantees:
//! * Only methods whose policy in the contracts lets callers in are public; REST has those with a `google.api.http` option.
//! * Bad input is refused with an error that names the field, in the protocol's own form, and never with a 5xx.
//! * What can't be taken on is refused at once (429, `RESOURCE_EXHAUSTED`) and never half done.
//! * gRPC messages pass undecoded; what a service answers, its details and trailers included, arrives unchanged.

pub mod config;

mod admission;
mod backend;
mod build;
mod client_address;
mod connect;
mod cors;
mod edge;
mod grpc;
mod grpc_web;
mod message;
mod metadata;
mod metrics;
mod openapi;
mod problem;
mod protocol;
mod request_id;
mod response_cache;
mod rest;
mod routes;
mod server;
mod site;
mod sli;
mod standalone;
mod trace;

pub use build::Gateway;
pub use config::Settings;
pub use standalone::Standalone;
