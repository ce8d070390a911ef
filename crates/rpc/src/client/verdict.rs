//! What the end of a call says of the server: asked by the choice among addresses and by the breaker alike.

use std::time::Duration;

use flotilla_call::Deadline;
use tonic::Code;

/// Calls that wait for so long in vain speak against the server; shorter ones against the caller's patience.
const SLOW: Duration = Duration::from_secs(1);

/// Whether a code speaks against the server: not against the request, the caller or the load.
pub(crate) fn is_fault(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Internal | Code::Unknown | Code::DataLoss)
}

/// Whether a call that ended with `code` after so long speaks against the server.
pub(crate) fn speaks_against(code: Code, took: Duration) -> bool {
    is_fault(code) || (code == Code::DeadlineExceeded && took >= SLOW)
}

/// Whether a call that its caller has given up after so long does: its deadline has passed.
pub(crate) fn waited_in_vain(deadline: Option<Deadline>, waited: Duration) -> bool {
    deadline.is_some_and(|deadline| deadline.remaining().is_zero()) && waited >= SLOW
}
