//! Errors as HTTP clients see them: RFC 9457 problem details, made from a gRPC status or from an error of HTTP itself.

mod mapping;

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_auth::AuthError;
use flotilla_rpc::{Details, RpcError, code_name};
use flotilla_telemetry::redact::scrub;
use flotilla_transcode::{Refusal, Violation, sentence};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use serde::Serialize;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::reply::full;

pub use mapping::http_status;

use mapping::title;

/// Media type of problem details.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A problem and its HTTP status.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: Code,
    reason: String,
    detail: String,
    violations: Vec<Violation>,
    metadata: BTreeMap<String, String>,
    retry_after: Option<Duration>,
    allow: Option<HeaderValue>,
}

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<DocumentViolation<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct DocumentViolation<'a> {
    field: &'a str,
    description: &'a str,
}

impl Problem {
    fn new(status: StatusCode, code: Code, reason: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            reason: reason.to_owned(),
            detail: detail.into(),
            violations: Vec::new(),
            metadata: BTreeMap::new(),
            retry_after: None,
            allow: None,
        }))
    }

    /// HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable reason.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// 400 for malformed input.
    pub fn bad_request(reason: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, reason, detail)
    }

    /// 400 that names the invalid fields.
    pub fn violations(violations: Vec<Violation>) -> Self {
        let mut problem = Self::bad_request("INVALID_ARGUMENT", sentence(&violations));
        problem.0.violations = violations;
        problem
    }

    /// 404 for an unknown path.
    pub fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, "ROUTE_NOT_FOUND", "there is nothing at this path; see GET /")
    }

    /// 405 with the methods that the path supports.
    pub fn other_methods(methods: &[Method]) -> Self {
        let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        names.dedup();
        let names = names.join(", ");
        let detail = format!("this path allows {names}");
        let mut problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, "METHOD_NOT_ALLOWED", detail);
        problem.0.allow = HeaderValue::try_from(names).ok();
        problem
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("the body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted, "BODY_TOO_LARGE", detail)
    }

    /// 415: the body must have another content type.
    pub fn media_type(wanted: &str) -> Self {
        Self::unsupported(format!("the body must be {wanted}"))
    }

    /// 415: the body's content encoding isn't supported.
    pub fn encoding() -> Self {
        Self::unsupported("the body's content encoding must be gzip or identity")
    }

    fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", detail)
    }

    /// The same for a line of an upload.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.0.detail = format!("line {line}: {}", self.0.detail);
        self.0.metadata.insert("line".to_owned(), line.to_string());
        self
    }

    /// 408: the client was too slow.
    pub fn too_slow() -> Self {
        let detail = "the body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, "BODY_TIMEOUT", detail)
    }

    /// The document as JSON.
    pub fn json(&self, request_id: &str) -> Vec<u8> {
        let document = Document {
            r#type: format!("urn:flotilla:problem:{}", self.0.reason.to_ascii_lowercase().replace('_', "-")),
            title: title(self.0.code),
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            code: code_name(self.0.code),
            reason: &self.0.reason,
            violations: self
                .0
                .violations
                .iter()
                .map(|violation| DocumentViolation { field: &violation.field, description: &violation.description })
                .collect(),
            metadata: &self.0.metadata,
            request_id,
        };
        let text = serde_json::to_string(&document).expect("strings and numbers can be written as JSON");
        // An error may repeat what the client sent, and ends up in logs: secrets must be masked.
        scrub(&text).into_owned().into_bytes()
    }

    /// The whole response.
    pub fn into_response(self, request_id: &str) -> Response<Body> {
        let mut response = full(self.json(request_id).into());
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(delay) = self.0.retry_after {
            // Whole seconds, rounded up: an early retry would be refused again.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(allow) = self.0.allow {
            headers.insert(ALLOW, allow);
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"flotilla\""));
        }
        response
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let details = Details::of(&status);
        let code = status.code();
        let reason = details.reason.unwrap_or_else(|| code_name(code).to_owned());
        let mut problem = Self::new(http_status(code), code, &reason, status.message());
        problem.0.violations = details
            .violations
            .into_iter()
            .map(|violation| Violation::new(violation.field, violation.description))
            .collect();
        problem.0.metadata = details.metadata.into_iter().collect();
        problem.0.retry_after = details.retry_after;
        problem
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(cause) => Self::bad_request("MALFORMED_JSON", format!("the body is not JSON: {cause}")),
            Refusal::Violations(violations) => Self::violations(violations),
        }
    }
}

impl From<RpcError> for Problem {
    fn from(error: RpcError) -> Self {
        Status::from(error).into()
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        RpcError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.json("r1")).unwrap()
    }

    #[test]
    fn a_status_becomes_a_problem_with_all_its_details() {
        let error = RpcError::new(Code::ResourceExhausted, "OVERLOADED", "busy")
            .field("lines[0].product", "unknown")
            .metadata("limit", "10")
            .retry_after(Duration::from_millis(1500));
        let problem = Problem::from(error);
        assert_eq!(
            document(&problem),
            json!({
                "type": "urn:flotilla:problem:overloaded", "title": "Resource exhausted", "status": 429,
                "detail": "busy", "code": "RESOURCE_EXHAUSTED", "reason": "OVERLOADED",
                "violations": [{"field": "lines[0].product", "description": "unknown"}],
                "metadata": {"limit": "10"}, "requestId": "r1"
            })
        );
        let response = problem.into_response("r1");
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_status_without_a_reason_uses_its_code() {
        let problem = Problem::from(Status::not_found("no such order"));
        assert_eq!((problem.status(), problem.reason()), (StatusCode::NOT_FOUND, "NOT_FOUND"));
        assert!(document(&problem).get("violations").is_none());
    }

    #[test]
    fn http_knows_its_own_problems() {
        let problem = Problem::other_methods(&[Method::POST, Method::GET]);
        assert_eq!(problem.clone().into_response("r").headers()[ALLOW], "GET, HEAD, POST");
        assert_eq!(problem.status(), 405);
        assert_eq!(Problem::too_large(5).status(), 413);
        assert_eq!(Problem::media_type("application/json").status(), 415);
        let missing = Problem::from(AuthError::Missing).into_response("r");
        assert_eq!(missing.status(), 401);
        assert!(missing.headers().contains_key(WWW_AUTHENTICATE));
        let named = Problem::violations(vec![Violation::new("a", "is odd"), Violation::new("", "no body")]);
        assert_eq!(document(&named)["detail"], "a: is odd; no body");
    }
}
