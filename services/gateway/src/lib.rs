//! The public edge: all services on one port, as REST, gRPC, gRPC-Web and Connect.
//!
//! Owns nothing and keeps nothing: no tables, no subjects; memory and Redis hold copies of product reads for a while.
//! There is no `domain/`, `storage/` or `events/` here; `routes` is the pure part, with the crate `flotilla-transcode`.
//!
//! A request goes from `server` (connections) to `dispatch`, which looks its method up once and hands both to the
//! protocol: `rest`, `grpc`, `grpc_web` or `connect`. Each reads and writes its own form; in between, all make a
//! `call`, which takes the same steps for every protocol. `edge` is the state that they share. Guarantees:
//! * Only methods whose policy in the contracts lets callers in are public; REST has those with a `google.api.http`
//!   option.
//! * Bad input is refused with an error that names the field, in the protocol's own form, and never with a 5xx.
//! * A request beyond the gateway's capacity is refused at once (429, `RESOURCE_EXHAUSTED`) and never half done.
//! * gRPC messages pass undecoded; a service's response arrives unchanged, with its error details and trailers.

pub mod config;

mod admission;
mod backend;
mod build;
mod call;
mod client_address;
mod connect;
mod cors;
mod dispatch;
mod edge;
mod end;
mod grpc;
mod grpc_web;
mod media_type;
mod message;
mod metadata;
mod metrics;
mod openapi;
mod problem;
mod protocol;
mod reply;
mod request_id;
mod response_cache;
mod rest;
mod routes;
mod server;
mod site;
mod sli;
mod standalone;
mod system;
mod trace;

pub use build::Gateway;
pub use config::Settings;
pub use standalone::Standalone;
