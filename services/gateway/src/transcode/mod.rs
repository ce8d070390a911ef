//! Between HTTP and protobuf: path, query, headers and JSON become a request message, a response becomes JSON.
//!
//! The mapping is proto3's JSON with two stances of our own. Requests are strict: a field or parameter that the message
//! doesn't have is refused by its name, and so is a body that contradicts the path, or a header that contradicts the
//! field that it stands for. Responses are complete: fields at their default are written, so that a reader sees a zero
//! as a zero; fields that are input only (a password) never are, absent messages and optional fields stay absent.
//!
//! Both directions convert directly between text and the wire format, using a [`Schema`] that is built once from the
//! descriptors. There is no intermediate representation; only rarely used well-known types go through dynamic messages.
//!
//! Everything here is a pure function of its arguments.

pub mod behavior;
mod header_fields;
mod query;
mod read;
mod reader;
mod request;
mod response;
mod scalar;
mod schema;
#[cfg(test)]
pub mod toy;
mod violations;
pub mod wire;
mod write;

pub use header_fields::{Headers, Special};
pub use read::Refusal;
pub use reader::Reader;
pub use request::{Input, request};
pub use response::{Answer, RenderError, Renderer};
pub use schema::{FieldPath, Schema};
pub use violations::Violation;
