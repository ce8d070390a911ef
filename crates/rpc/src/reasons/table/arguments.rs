//! Reasons about resources and arguments.

use tonic::Code;

use super::{NO, YES, reason};
use crate::reasons::Group;

pub(super) const GROUP: Group = Group {
    title: "Resources and arguments",
    reasons: &[
        reason("ALREADY_EXISTS", Code::AlreadyExists, NO, "the resource already exists", "choose another id"),
        reason("CONFLICT", Code::Aborted, YES, "a concurrent call changed the same data; nothing was done", "retry"),
        reason(
            "ETAG_MISMATCH",
            Code::Aborted,
            NO,
            "the resource has changed since it was read",
            "read it again and reapply the change",
        ),
        reason(
            "IDEMPOTENCY_KEY_REUSED",
            Code::AlreadyExists,
            NO,
            "the request id was used for a different request",
            "use a new id for each request",
        ),
        reason(
            "INVALID_ARGUMENT",
            Code::InvalidArgument,
            NO,
            "fields are invalid; the details name each",
            "correct the fields",
        ),
        reason(
            "NOT_FOUND",
            Code::NotFound,
            NO,
            "the resource doesn't exist, or the caller may not see it",
            "check the name",
        ),
    ],
};
