//! Converts JSON and URL parameters to protobuf bytes and back, by descriptors.
//!
//! The mapping is proto3 JSON with two additions. Requests are strict: an unknown field or parameter is refused by
//! name. Responses are complete: fields with their default value are written, so that a reader sees a zero as a zero;
//! input-only fields (a password) are never written, absent messages and optional fields stay absent.
//!
//! Both directions convert directly between text and the wire format, using a [`Schema`] that is built once from the
//! descriptors. There is no intermediate representation; only rarely used well-known types go through dynamic messages.
//!
//! Everything here is a pure function of its arguments, independent of routes, HTTP and gRPC.

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
