//! Code, reason and fields of a refused call.

use flotilla_rpc::Details;
use tonic::{Code, Status};

/// The reason of a status; empty if it has none.
pub fn reason(status: &Status) -> String {
    Details::of(status).reason.unwrap_or_default()
}

/// The fields with violations, in the status' order.
pub fn fields(status: &Status) -> Vec<String> {
    Details::of(status).violations.into_iter().map(|violation| violation.field).collect()
}

/// The code and the reason of a refusal.
///
/// # Panics
/// The call was answered.
pub fn refusal<T>(answer: Result<T, Status>) -> (Code, String) {
    let Err(status) = answer else { panic!("the call was answered") };
    (status.code(), reason(&status))
}
