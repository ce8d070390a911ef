//! Validation of requests by the rules of their contract.
//!
//! The rules ([`flotilla_validate`]) are compiled once from the compiled-in descriptors. The codec of every generated
//! server checks each request by them before it is decoded, also within streams; nothing else has to remember it.

use std::collections::HashMap;
use std::sync::LazyLock;

use flotilla_validate::Plans;
pub use flotilla_validate::Violation;
use prost::{Message, Name};
use tonic::{Code, Status};
use tonic_types::ErrorDetails;

use crate::descriptors;

/// Domain of every reason that the fleet gives (`google.rpc.ErrorInfo.domain`).
pub const ERROR_DOMAIN: &str = "flotilla";
/// Reason of an invalid request (`google.rpc.ErrorInfo.reason`).
pub const INVALID_ARGUMENT: &str = "INVALID_ARGUMENT";

static PLANS: LazyLock<Compiled> = LazyLock::new(|| {
    let pool = descriptors::pool().expect("the compiled-in descriptors were read when they were built");
    let plans = Plans::compile(&pool).expect("the compiled-in rules were read when they were tested");
    let inputs = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let mut requests: HashMap<String, HashMap<String, usize>> = HashMap::new();
    for input in inputs.map(|method| method.input()) {
        if let Some(plan) = plans.index(input.full_name()) {
            requests.entry(input.package_name().to_owned()).or_default().insert(input.name().to_owned(), plan);
        }
    }
    Compiled { plans, requests }
});

struct Compiled {
    plans: Plans,
    /// Requests by package, then by name: looked up for each call, without a copy of either.
    requests: HashMap<String, HashMap<String, usize>>,
}

/// Rules of a request type; `None` where it has none or is no request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestRules(Option<usize>);

impl RequestRules {
    /// The rules of `M`.
    pub fn of<M: Name>() -> Self {
        Self(PLANS.requests.get(M::PACKAGE).and_then(|package| package.get(M::NAME)).copied())
    }

    /// Checks an encoded request.
    pub fn check(self, encoded: &[u8]) -> Result<(), Status> {
        let Some(plan) = self.0 else { return Ok(()) };
        let violations = PLANS.plans.check(plan, encoded);
        if violations.is_empty() { Ok(()) } else { Err(status(&violations)) }
    }
}

/// What is wrong with a message by the rules of its type: for rows that are judged one by one.
pub fn violations<M: Message + Name>(message: &M) -> Vec<Violation> {
    match PLANS.plans.index(&M::full_name()) {
        Some(plan) => PLANS.plans.check(plan, &message.encode_to_vec()),
        None => Vec::new(),
    }
}

/// `INVALID_ARGUMENT` that names every field at fault.
fn status(violations: &[Violation]) -> Status {
    let mut details = ErrorDetails::with_error_info(INVALID_ARGUMENT, ERROR_DOMAIN, HashMap::new());
    let mut text = String::new();
    for Violation { field, description } in violations {
        details.add_bad_request_violation(field, description);
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(field);
        text.push_str(": ");
        text.push_str(description);
    }
    crate::status::with_details(Code::InvalidArgument, &text, details)
}

#[cfg(test)]
mod tests;
