//! Messages on their way through the gateway: read from a body, decompressed, transcoded if the client uses JSON, and
//! framed again.
//!
//! gRPC, gRPC-Web and Connect frame their messages alike: a byte of flags, the length in four bytes, the message. They
//! differ in how a stream ends, which their own modules define. A protobuf message is never decoded here.

mod codec;
mod reader;
mod remainder;
mod translate;

pub use codec::{Codec, Coder};
pub use reader::{Fault, MessageReader, broken};
pub use remainder::{discard_body, drain, lend};
pub use translate::{Unit, answers, one_request, requests};

/// Largest response that is decoded or assembled here, in bytes.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Messages and responses below this size aren't worth compressing, in bytes.
pub const MIN_COMPRESSED: usize = 1024;
