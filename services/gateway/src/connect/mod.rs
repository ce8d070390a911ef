//! The Connect protocol on the public port, over HTTP/1.1 and HTTP/2: unary calls as plain HTTP (POST, and GET for
//! methods that only read), streams in frames whose last one carries the status; messages in protobuf or JSON,
//! compressed or not.
//!
//! Calls are forwarded by gRPC. Their status, headers and trailers are returned unchanged, in Connect's form.

mod error;
mod get;
mod headers;
mod stream;
mod unary;

pub use error::{stream_error, unary_error};
pub use stream::stream;
pub use unary::{get, post};
