//! gRPC on the wire: length-prefixed messages, gzip, timeouts, and collecting a body.
//!
//! Guarantees:
//! * A message that is larger than allowed is refused by its prefix, before it is in memory; a compressed one also if
//!   it would be larger after inflation.
//! * Splitting and checking work the same however a body is split into chunks.
//! * Nothing here waits except [`collect`], and nothing is buffered beyond a message and the piece that ended it.
//!
//! It is independent of statuses and methods: a [`WireError`] describes what is wrong with the bytes.

pub mod gzip;
pub mod timeout;

mod collect;
mod error;
mod lengths;
mod message;

pub use collect::collect;
pub use error::WireError;
pub use gzip::{Encoding, UnknownEncoding};
pub use lengths::Lengths;
pub use message::{COMPRESSED, Messages, PREFIX, head, largest, prefixed, put};
