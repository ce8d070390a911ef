//! The one error of all services and its only mapping to a gRPC status with rich details.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use flotilla_telemetry::redact::scrub;
use flotilla_wire::{UnknownEncoding, WireError};
use tonic::{Code, Status};
use tonic_types::ErrorDetails;

/// Domain of every reason (`google.rpc.ErrorInfo.domain`), the same as that of the contracts' validation errors.
pub use flotilla_proto::requests::ERROR_DOMAIN as DOMAIN;

use crate::{Precondition, Quota};

/// An error as clients see it: a code, a stable reason, a message and details.
#[derive(Debug, Clone)]
pub struct RpcError(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    reason: &'static str,
    message: String,
    violations: Vec<(String, String)>,
    preconditions: Vec<Precondition>,
    quotas: Vec<Quota>,
    retry_after: Option<Duration>,
    metadata: HashMap<String, String>,
}

impl RpcError {
    /// An error with `code` and a stable, upper-snake `reason` that programs may compare.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            reason,
            message: message.into(),
            violations: Vec::new(),
            preconditions: Vec::new(),
            quotas: Vec::new(),
            retry_after: None,
            metadata: HashMap::new(),
        }))
    }

    /// An `INTERNAL` error that doesn't reveal its cause; log the cause beside it.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "INTERNAL", "internal error")
    }

    /// Adds an invalid field (`google.rpc.BadRequest`).
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.violations.push((field.into(), description.into()));
        self
    }

    /// Adds a precondition that doesn't hold (`google.rpc.PreconditionFailure`): its kind (upper snake, such as
    /// `STOCK`), its subject (`products/..`), and what to do.
    #[must_use]
    pub fn precondition(
        mut self,
        kind: impl Into<String>,
        subject: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        let (kind, subject, description) = (kind.into(), subject.into(), description.into());
        self.0.preconditions.push(Precondition { kind, subject, description });
        self
    }

    /// Adds a quota that is used up (`google.rpc.QuotaFailure`): its subject, and what is limited.
    #[must_use]
    pub fn quota(mut self, subject: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.quotas.push(Quota { subject: subject.into(), description: description.into() });
        self
    }

    /// Sets when a retry may succeed (`google.rpc.RetryInfo`).
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds metadata for programs (`google.rpc.ErrorInfo.metadata`).
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), value.into());
        self
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The stable reason.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Invalid fields, each with its description.
    pub fn violations(&self) -> &[(String, String)] {
        &self.0.violations
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.reason, self.0.message)?;
        for (field, description) in &self.0.violations {
            write!(f, "; {field}: {description}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RpcError {}

impl From<RpcError> for Status {
    fn from(error: RpcError) -> Self {
        let Inner { code, reason, message, violations, preconditions, quotas, retry_after, metadata } = *error.0;
        // An error may repeat what a caller sent, and ends up in logs, spans and tickets: secrets must be masked.
        let scrubbed = |text: String| scrub(&text).into_owned();
        let metadata = metadata.into_iter().map(|(key, value)| (key, scrubbed(value))).collect::<HashMap<_, _>>();
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        for (field, description) in violations {
            details.add_bad_request_violation(scrubbed(field), scrubbed(description));
        }
        for Precondition { kind, subject, description } in preconditions {
            details.add_precondition_failure_violation(kind, scrubbed(subject), scrubbed(description));
        }
        for Quota { subject, description } in quotas {
            details.add_quota_failure_violation(subject, description);
        }
        if let Some(delay) = retry_after {
            details.set_retry_info(Some(delay));
        }
        flotilla_proto::status::with_details(code, &scrubbed(message), details)
    }
}

/// `INVALID_ARGUMENT` for one field.
pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> RpcError {
    let (field, description) = (field.into(), description.into());
    RpcError::new(Code::InvalidArgument, "INVALID_ARGUMENT", format!("{field}: {description}"))
        .field(field, description)
}

/// `NOT_FOUND` for a resource name.
pub fn not_found(resource: &str) -> RpcError {
    RpcError::new(Code::NotFound, "NOT_FOUND", format!("{resource} does not exist")).metadata("resource", resource)
}

/// Collects all invalid fields, so that a client gets them at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<(String, String)>);

impl Violations {
    /// No violations yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an invalid field.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push((field.into(), description.into()));
    }

    /// Adds the field unless `holds`.
    pub fn check(&mut self, holds: bool, field: &str, description: &str) {
        if !holds {
            self.add(field, description);
        }
    }

    /// Returns the value of `result`, or adds its violations.
    pub fn take<T>(&mut self, result: Result<T, RpcError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.extend(error.0.violations);
                None
            }
        }
    }

    /// Fails with `INVALID_ARGUMENT` if any field is invalid.
    ///
    /// # Errors
    /// All violations in one error.
    pub fn finish(self) -> Result<(), RpcError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let message =
            self.0.iter().map(|(field, description)| format!("{field}: {description}")).collect::<Vec<_>>().join("; ");
        let mut error = RpcError::new(Code::InvalidArgument, "INVALID_ARGUMENT", message);
        error.0.violations = self.0;
        Err(error)
    }
}

impl From<WireError> for RpcError {
    fn from(error: WireError) -> Self {
        let (code, reason) = match error {
            WireError::TooLarge { .. } => (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            WireError::Incomplete => (Code::InvalidArgument, "MESSAGE_INCOMPLETE"),
            WireError::NotGzip => (Code::InvalidArgument, "COMPRESSION_BROKEN"),
        };
        let mapped = Self::new(code, reason, error.to_string());
        if let WireError::TooLarge { limit } = error {
            mapped.metadata("limit_bytes", limit.to_string())
        } else {
            mapped
        }
    }
}

impl From<UnknownEncoding> for RpcError {
    fn from(unknown: UnknownEncoding) -> Self {
        Self::new(Code::Unimplemented, "COMPRESSION_UNKNOWN", unknown.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Details;

    #[test]
    fn a_status_carries_reason_fields_and_retry() {
        let status: Status = RpcError::new(Code::ResourceExhausted, "OVERLOADED", "busy")
            .field("lines", "too many")
            .retry_after(Duration::from_millis(250))
            .metadata("limit", "10")
            .into();
        let details = Details::of(&status);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(details.reason.as_deref(), Some("OVERLOADED"));
        assert_eq!(details.domain.as_deref(), Some(DOMAIN));
        assert_eq!(details.violations[0].field, "lines");
        assert_eq!(details.retry_after, Some(Duration::from_millis(250)));
        assert_eq!(details.metadata.get("limit").map(String::as_str), Some("10"));
    }

    #[test]
    fn secrets_that_a_caller_sent_are_masked() {
        let status: Status =
            invalid("filter", "unknown field \"ann@example.com\"").metadata("given", "4111111111111111").into();
        let details = Details::of(&status);
        assert_eq!(status.message(), "filter: unknown field \"[email]\"");
        assert_eq!(details.violations[0].description, "unknown field \"[email]\"");
        assert_eq!(details.metadata["given"], "[card]");
    }

    #[test]
    fn preconditions_and_quotas_have_their_own_details() {
        let status: Status = RpcError::new(Code::FailedPrecondition, "INSUFFICIENT_STOCK", "too few")
            .precondition("STOCK", "products/tea", "order fewer")
            .quota("user", "calls a second")
            .into();
        let details = Details::of(&status);
        let [precondition] = details.preconditions.as_slice() else { panic!("{details:?}") };
        assert_eq!((precondition.kind.as_str(), precondition.subject.as_str()), ("STOCK", "products/tea"));
        assert_eq!(precondition.description, "order fewer");
        assert_eq!(details.quotas, [Quota { subject: "user".to_owned(), description: "calls a second".to_owned() }]);
        assert!(details.violations.is_empty());
    }

    #[test]
    fn all_violations_are_reported_at_once() {
        let mut violations = Violations::new();
        violations.check(false, "a", "must be set");
        violations.check(true, "b", "must be set");
        assert!(violations.take::<()>(Err(invalid("c", "is no uuid"))).is_none());
        let error = violations.finish().unwrap_err();
        assert_eq!(error.violations().len(), 2);
        assert_eq!(error.message(), "a: must be set; c: is no uuid");
        assert!(Violations::new().finish().is_ok());
    }
}
