//! Rules of messages, compiled from their descriptors and checked on encoded bytes.
//!
//! [`Plans::compile`] reads the rules (`buf.validate`) of all messages of a descriptor pool once; [`Plans::check`] walks over
//! an encoded message and returns a [`Violation`] for each field at fault, before anything is decoded: one pass, no
//! allocation unless something is wrong.
//!
//! Meaning of the rules: <https://protovalidate.com/schemas/standard-rules/>. Of them, those that
//! `proto/buf/validate/validate.proto` declares are known; [`Plans::compile`] refuses any other.

mod check;
mod compile;
mod encoded;

pub use compile::{Plan, Plans, RuleError};

/// The rules as the contracts declare them.
#[allow(missing_docs, reason = "generated code carries the comments of the protos")]
#[allow(clippy::all, clippy::redundant_closure_for_method_calls, reason = "generated code")]
pub mod rules {
    include!(concat!(env!("OUT_DIR"), "/buf.validate.rs"));
}

/// A field at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field: `lines[0].quantity`.
    pub field: String,
    /// What it must be.
    pub description: String,
}
