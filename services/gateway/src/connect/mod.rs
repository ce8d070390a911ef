//! The Connect protocol on the public port, over HTTP/1.1 and HTTP/2: unary calls as plain HTTP (POST, and GET for what
//! only reads), streams in frames whose last one tells how it ended; messages in protobuf or JSON, packed or not.
//!
//! Calls go on by gRPC. Their status, headers and trailers come back in Connect's own form, nothing is made up.

mod error;
mod get;
mod headers;
mod stream;
mod unary;

pub use error::{stream_error, unary_error};
pub use stream::stream;
pub use unary::{get, post};
