//! Messages on their way through the edge: cut out of a body, unpacked, transcoded where the client speaks JSON, and
//! framed again.
//!
//! gRPC, gRPC-Web and Connect frame their messages alike: a byte of flags, the length in four bytes, the message. What
//! differs is how a stream ends, and that is their own modules' to say. A message in protobuf is never decoded here.

mod codec;
mod frames;
mod gzip;
mod remainder;
mod translate;

pub use codec::{Codec, Coder};
pub use frames::{COMPRESSED, Fault, Frames, PREFIX, broken, framed, incomplete, largest, too_large};
pub use gzip::{Packing, pack, unpack};
pub use remainder::{lend, throw_away};
pub use translate::{Unit, answers, one_request, requests};
