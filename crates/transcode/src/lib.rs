//! JSON and URL parameters to protobuf's bytes and back, by descriptors.
//!
//! The mapping is proto3's JSON with two stances of our own. Requests are strict: a field or parameter that the message
//! doesn't have is refused by its name. Responses are complete: fields at their default are written, so that a reader
//! sees a zero as a zero; fields that are input only (a password) never are, absent messages and optional fields stay
//! absent.
//!
//! Both directions convert directly between text and the wire format, using a [`Schema`] that is built once from the
//! descriptors. There is no intermediate representation; only rarely used well-known types go through dynamic messages.
//!
//! Everything here is a pure function of its arguments; it knows no route, no HTTP and no gRPC.

pub mod behavior;
pub mod query;
pub mod read;
mod reader;
mod renderer;
mod scalar;
mod schema;
#[cfg(test)]
mod toy;
mod violation;
pub mod wire;
mod write;

pub use read::Refusal;
pub use reader::Reader;
pub use renderer::{Answer, Renderer};
pub use scalar::put;
pub use schema::{Enum, Field, FieldPath, Form, Kind, Label, Message, Scalar, Schema};
pub use violation::{Violation, sentence};
pub use write::RenderError;
