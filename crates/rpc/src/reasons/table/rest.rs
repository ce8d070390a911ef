//! Reasons that only HTTP has.

use tonic::Code;

use super::{NO, over_http, reason};
use crate::reasons::Group;

pub(super) const GROUP: Group = Group {
    title: "REST only",
    reasons: &[
        reason("BASE64_BROKEN", Code::InvalidArgument, NO, "a gRPC-Web text body isn't base64", "send valid base64"),
        reason("BODY_BROKEN", Code::InvalidArgument, NO, "the request body was cut off", "send the whole body"),
        over_http(
            408,
            reason("BODY_TIMEOUT", Code::DeadlineExceeded, NO, "the request body took too long", "send it faster"),
        ),
        over_http(
            413,
            reason(
                "BODY_TOO_LARGE",
                Code::ResourceExhausted,
                NO,
                "the request body is too large",
                "send a smaller body",
            ),
        ),
        reason(
            "HTTP2_REQUIRED",
            Code::InvalidArgument,
            NO,
            "gRPC was used over HTTP/1.1",
            "use HTTP/2, or gRPC-Web or Connect",
        ),
        reason(
            "INVALID_HEADER",
            Code::InvalidArgument,
            NO,
            "a header's value isn't plain text, or the header is given twice with different values",
            "correct the header",
        ),
        reason("INVALID_PATH", Code::InvalidArgument, NO, "the path isn't UTF-8", "correct the path"),
        reason(
            "INVALID_TIMEOUT",
            Code::InvalidArgument,
            NO,
            "a timeout in a header is invalid",
            "send a duration such as `2s`",
        ),
        reason("INVALID_UTF8", Code::InvalidArgument, NO, "the body isn't UTF-8", "send UTF-8"),
        reason(
            "MALFORMED_JSON",
            Code::InvalidArgument,
            NO,
            "the body isn't valid JSON for this request",
            "correct the body",
        ),
        over_http(
            405,
            reason(
                "METHOD_NOT_ALLOWED",
                Code::Unimplemented,
                NO,
                "the path supports other HTTP methods, listed in `allow`",
                "use one of them",
            ),
        ),
        reason("ROUTE_NOT_FOUND", Code::NotFound, NO, "there is nothing at this path", "see `/openapi.json`"),
        over_http(
            415,
            reason(
                "UNSUPPORTED_MEDIA_TYPE",
                Code::InvalidArgument,
                NO,
                "the body's content type is not supported",
                "send JSON",
            ),
        ),
    ],
};
