//! The gRPC API: one file for each service of the proto, and one for each method that needs more than a few lines.

mod convert;
mod list;
mod order_service;
mod place;
mod watch;

pub use order_service::OrderApi;
