//! gRPC on the wire: length-prefixed messages, gzip, timeouts, and collecting a body.
//!
//! Guarantees:
//! * A message is refused by its prefix, before it is in memory, where it is larger than allowed; a compressed one also
//!   where it would be larger once inflated.
//! * Cutting and checking work the same however a body is split into pieces.
//! * Nothing here waits except [`collect`], and nothing is buffered beyond a message and the piece that ended it.
//!
//! It knows no status and no method: a [`WireError`] says what is wrong with the bytes.

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
