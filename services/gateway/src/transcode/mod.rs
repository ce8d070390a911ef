//! Between HTTP and protobuf: path, query, headers and JSON become a request message, a response becomes JSON.
//!
//! The mapping is proto3's JSON with two stances of our own. Requests are strict: a field or parameter that the
//! message doesn't have is refused by its name, and so is a body that contradicts the path. Responses are complete:
//! fields at their default are written, so that a reader sees a zero as a zero; fields that are input only (a
//! password) never are, absent messages and optional fields stay absent.
//!
//! Everything here is a pure function of its arguments.

pub mod fields;
mod mask;
mod query;
mod request;
mod response;
mod violations;

pub use request::{Headers, Input, encode, request};
pub use response::{Answer, Renderer, text_at};
pub use violations::Violation;
