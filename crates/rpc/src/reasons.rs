//! The list of all reasons of the fleet's errors, from which `docs/errors.md` is generated.
//!
//! A reason is stable: programs compare it. Tests check that the code uses only reasons listed here, each with
//! the code given here.

mod table;

use tonic::Code;

use crate::code_name;

pub use table::REASONS;

/// A reason (`google.rpc.ErrorInfo.reason`, in the domain [`crate::DOMAIN`]).
#[derive(Debug, Clone, Copy)]
pub struct Reason {
    /// Upper snake case.
    pub name: &'static str,
    /// The gRPC code that it comes with.
    pub code: Code,
    /// The HTTP status that it comes with over REST.
    pub http: u16,
    /// Whether the same call may succeed later without any change.
    pub retryable: bool,
    /// What happened.
    pub meaning: &'static str,
    /// What the caller can do.
    pub remedy: &'static str,
}

/// The entries of a reason; several if it is used with several codes.
pub fn find(name: &str) -> impl Iterator<Item = &'static Reason> {
    REASONS.iter().flat_map(|group| group.reasons).filter(move |reason| reason.name == name)
}

/// Reasons with which a healthy server refuses calls as `UNAVAILABLE` on purpose: they count neither for a breaker nor
/// for the ejection of an address.
pub const ON_PURPOSE: &[&str] = &["ORDERS_PAUSED"];

/// A group of related reasons.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The topic.
    pub title: &'static str,
    /// The reasons, sorted by name.
    pub reasons: &'static [Reason],
}

/// The HTTP status of a code.
pub const fn http_status(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Cancelled => 499,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
    }
}

/// The page of all errors, in Markdown.
pub fn page() -> String {
    let mut page = String::from(
        "# Errors\n\n\
         <!-- Generated from `crates/rpc/src/reasons/table.rs`: `UPDATE_DOCS=1 cargo test -p flotilla-rpc errors_page`. -->\n\n\
         Every error has a gRPC code, a message for people, and a `google.rpc.ErrorInfo` with a stable reason in the domain\n\
         `flotilla` for programs. REST returns the same as `application/problem+json`, with the reason in `reason` and the\n\
         code in `code`.\n\n\
         | detail | meaning |\n|---|---|\n\
         | `BadRequest` | fields are invalid: the path and the problem of each |\n\
         | `PreconditionFailure` | the state of a resource prevents the call: its type and name |\n\
         | `QuotaFailure` | a quota is used up: whose, and which |\n\
         | `RetryInfo` | a retry may succeed after this time (`Retry-After` in REST) |\n\n\
         Retry a call unchanged if the table says so and the method is idempotent or has a `request_id`.\n",
    );
    for group in REASONS {
        page.push_str(&format!("\n## {}\n\n| reason | code | HTTP | retry | meaning | what to do |\n", group.title));
        page.push_str("|---|---|---|---|---|---|\n");
        for reason in group.reasons {
            let Reason { name, code, http, retryable, meaning, remedy } = reason;
            let repeat = if *retryable { "yes" } else { "no" };
            page.push_str(&format!(
                "| `{name}` | `{}` | {http} | {repeat} | {meaning} | {remedy} |\n",
                code_name(*code)
            ));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_is_sorted_and_no_reason_is_listed_twice() {
        let mut seen = std::collections::HashSet::new();
        for group in REASONS {
            assert!(group.reasons.is_sorted_by_key(|reason| reason.name), "{}", group.title);
            for reason in group.reasons {
                assert!(seen.insert((reason.name, reason.code as i32)), "{}", reason.name);
                assert!(!reason.meaning.is_empty() && !reason.remedy.is_empty(), "{}", reason.name);
                assert!(!(reason.meaning.contains('|') || reason.remedy.contains('|')), "{}", reason.name);
            }
        }
    }
}
