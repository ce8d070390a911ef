//! What a refused call says.

use flotilla_rpc::Details;
use tonic::{Code, Status};

/// The reason that a status carries; empty if none.
pub fn reason(status: &Status) -> String {
    Details::of(status).reason.unwrap_or_default()
}

/// The fields that a status names, in its order.
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
