//! What is named, and what is said of it.

use tonic::Code;

use super::{NO, YES, reason};
use crate::reasons::Group;

pub(super) const GROUP: Group = Group {
    title: "Resources and arguments",
    reasons: &[
        reason("ALREADY_EXISTS", Code::AlreadyExists, NO, "there is such a resource already", "choose another id"),
        reason("CONFLICT", Code::Aborted, YES, "another call was faster; nothing was done", "repeat"),
        reason(
            "ETAG_MISMATCH",
            Code::Aborted,
            NO,
            "the resource has changed since it was read",
            "read it again and decide anew",
        ),
        reason(
            "IDEMPOTENCY_KEY_REUSED",
            Code::AlreadyExists,
            NO,
            "the request id was used for another request",
            "use a new one for each request",
        ),
        reason(
            "INVALID_ARGUMENT",
            Code::InvalidArgument,
            NO,
            "fields are at fault; each is named",
            "correct the fields",
        ),
        reason(
            "NOT_FOUND",
            Code::NotFound,
            NO,
            "there is no such resource, or none that the caller may see",
            "check the name",
        ),
    ],
};
