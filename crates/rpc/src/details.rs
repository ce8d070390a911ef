//! Reads the rich details back out of a status: for the gateway, clients and tests.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The details of a status beside code and message. Empty where the status carries no details or broken ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Stable reason.
    pub reason: Option<String>,
    /// Domain of the reason.
    pub domain: Option<String>,
    /// Metadata for programs.
    pub metadata: HashMap<String, String>,
    /// Invalid fields.
    pub violations: Vec<FieldViolation>,
    /// Preconditions that don't hold.
    pub preconditions: Vec<Precondition>,
    /// Quotas that are used up.
    pub quotas: Vec<Quota>,
    /// When a retry may succeed.
    pub retry_after: Option<Duration>,
}

/// An invalid field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// A precondition that doesn't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// Its kind, such as `STOCK`.
    pub kind: String,
    /// Its subject, such as a resource's name.
    pub subject: String,
    /// What is wrong and what to do.
    pub description: String,
}

/// A quota that is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Its subject.
    pub subject: String,
    /// What is limited.
    pub description: String,
}

impl Details {
    /// The details of `status`.
    pub fn of(status: &Status) -> Self {
        if status.details().is_empty() {
            return Self::default();
        }
        let all = status.get_error_details();
        let mut details = Self::default();
        if let Some(info) = all.error_info().cloned() {
            details.reason = Some(info.reason);
            details.domain = Some(info.domain);
            details.metadata = info.metadata;
        }
        if let Some(bad) = all.bad_request().cloned() {
            details.violations = bad
                .field_violations
                .into_iter()
                .map(|violation| FieldViolation { field: violation.field, description: violation.description })
                .collect();
        }
        if let Some(failure) = all.precondition_failure().cloned() {
            details.preconditions = failure
                .violations
                .into_iter()
                .map(|found| Precondition {
                    kind: found.r#type,
                    subject: found.subject,
                    description: found.description,
                })
                .collect();
        }
        if let Some(failure) = all.quota_failure().cloned() {
            details.quotas = failure
                .violations
                .into_iter()
                .map(|found| Quota { subject: found.subject, description: found.description })
                .collect();
        }
        details.retry_after = all.retry_info().and_then(|retry| retry.retry_delay);
        details
    }
}

/// The name of a code as gRPC writes it: `NOT_FOUND`.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
