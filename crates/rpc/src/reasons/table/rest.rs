//! What only HTTP knows.

use tonic::Code;

use super::{NO, over_http, reason};
use crate::reasons::Group;

pub(super) const GROUP: Group = Group {
    title: "REST alone",
    reasons: &[
        reason("BASE64_BROKEN", Code::InvalidArgument, NO, "a gRPC-Web text body isn't base64", "send valid base64"),
        reason("BODY_BROKEN", Code::InvalidArgument, NO, "the request's body was broken off", "send it whole"),
        over_http(
            408,
            reason("BODY_TIMEOUT", Code::DeadlineExceeded, NO, "the request's body took too long", "send it faster"),
        ),
        over_http(
            413,
            reason(
                "BODY_TOO_LARGE",
                Code::ResourceExhausted,
                NO,
                "the request's body is larger than allowed",
                "send less",
            ),
        ),
        reason(
            "HTTP2_REQUIRED",
            Code::InvalidArgument,
            NO,
            "gRPC was spoken over HTTP/1.1",
            "speak HTTP/2, or gRPC-Web or Connect",
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
            "a timeout in a header can't be read",
            "send a duration such as `2s`",
        ),
        reason("INVALID_UTF8", Code::InvalidArgument, NO, "the body isn't UTF-8", "send UTF-8"),
        reason(
            "MALFORMED_JSON",
            Code::InvalidArgument,
            NO,
            "the body isn't the JSON that was expected",
            "correct the body",
        ),
        over_http(
            405,
            reason(
                "METHOD_NOT_ALLOWED",
                Code::Unimplemented,
                NO,
                "the path knows other HTTP methods; they are in `allow`",
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
                "the body has a content type that isn't understood",
                "send JSON",
            ),
        ),
    ],
};
