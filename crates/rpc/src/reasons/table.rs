//! The list of reasons, grouped by topic.

mod access;
mod arguments;
mod business;
mod call;
mod load;
mod rest;

use tonic::Code;

use super::{Group, Reason, http_status};

/// Whether the same call may succeed later.
const YES: bool = true;
const NO: bool = false;

/// A reason whose HTTP status is its code's.
const fn reason(
    name: &'static str,
    code: Code,
    retryable: bool,
    meaning: &'static str,
    remedy: &'static str,
) -> Reason {
    Reason { name, code, http: http_status(code), retryable, meaning, remedy }
}

/// The same reason with an HTTP status of its own.
const fn over_http(http: u16, reason: Reason) -> Reason {
    Reason { http, ..reason }
}

/// All reasons. Each group is sorted by name.
pub const REASONS: &[Group] =
    &[call::GROUP, load::GROUP, access::GROUP, arguments::GROUP, business::GROUP, rest::GROUP];
