//! Messages on their way through the edge: cut out of a body, unpacked, transcoded where the client speaks JSON, and
//! framed again.
//!
//! gRPC, gRPC-Web and Connect frame their messages alike: a byte of flags, the length in four bytes, the message. What
//! differs is how a stream ends, and that is their own modules' to say. A message in protobuf is never decoded here.

mod codec;
mod reader;
mod remainder;
mod translate;

pub use codec::{Codec, Coder};
pub use reader::{Fault, MessageReader, broken};
pub use remainder::{drain, lend, throw_away};
pub use translate::{Unit, answers, one_request, requests};

/// Largest answer that is taken apart or put together here, in bytes.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Smaller messages and answers aren't worth compressing, in bytes.
pub const MIN_COMPRESSED: usize = 1024;
