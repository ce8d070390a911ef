//! Whether the end of a call counts as a failure of the server; used by the balancer and the breaker.

use std::time::Duration;

use flotilla_call::Deadline;
use tonic::Code;

/// A timeout after this time counts as a failure of the server; a shorter one is due to the caller's deadline.
const SLOW: Duration = Duration::from_secs(1);

/// Whether a code is a failure of the server, not of the request, the caller or the load.
pub(crate) fn is_fault(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Internal | Code::Unknown | Code::DataLoss)
}

/// Whether a call that ended with `code` after this time counts as a failure of the server.
pub(crate) fn counts_as_failure(code: Code, took: Duration) -> bool {
    is_fault(code) || (code == Code::DeadlineExceeded && took >= SLOW)
}

/// Whether a call that its caller has cancelled counts as one: its deadline has passed.
pub(crate) fn timed_out(deadline: Option<Deadline>, waited: Duration) -> bool {
    deadline.is_some_and(|deadline| deadline.remaining().is_zero()) && waited >= SLOW
}
