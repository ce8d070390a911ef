//! Reasons that apply to any call.

use tonic::Code;

use super::{NO, reason};
use crate::reasons::Group;

pub(super) const GROUP: Group = Group {
    title: "The call itself",
    reasons: &[
        reason(
            "COMPRESSION_BROKEN",
            Code::InvalidArgument,
            NO,
            "a compressed message is not valid gzip",
            "send valid gzip",
        ),
        reason(
            "COMPRESSION_UNKNOWN",
            Code::Unimplemented,
            NO,
            "the request's compression is not supported",
            "use gzip or no compression",
        ),
        reason(
            "COMPRESSION_UNNAMED",
            Code::Internal,
            NO,
            "a message is marked as compressed, but no compression was declared",
            "declare the compression in `grpc-encoding`",
        ),
        reason(
            "DEADLINE_EXCEEDED",
            Code::DeadlineExceeded,
            NO,
            "the call's deadline was exceeded; its work was cancelled",
            "retry with a longer deadline, if the method may be retried",
        ),
        reason(
            "FLAGS_UNKNOWN",
            Code::InvalidArgument,
            NO,
            "a message has flags that the protocol doesn't define",
            "follow the protocol's framing",
        ),
        reason(
            "INTERNAL",
            Code::Internal,
            NO,
            "an internal error; the cause is logged with the incident id in the metadata",
            "report it with the incident id or the request id",
        ),
        reason(
            "MESSAGE_INCOMPLETE",
            Code::InvalidArgument,
            NO,
            "the request ended within a message",
            "send complete messages",
        ),
        reason(
            "MESSAGE_TOO_LARGE",
            Code::ResourceExhausted,
            NO,
            "a message is larger than `limit_bytes` in the metadata, compressed or uncompressed",
            "send smaller messages",
        ),
        reason(
            "METHOD_UNKNOWN",
            Code::Unimplemented,
            NO,
            "the service has no such method, or it isn't exposed here",
            "see the contract for available methods",
        ),
        reason(
            "NO_BACKEND",
            Code::Unimplemented,
            NO,
            "no backend is configured for this method",
            "check the gateway's settings",
        ),
        reason(
            "ONE_MESSAGE",
            Code::Unimplemented,
            NO,
            "the method takes exactly one message, but none or several arrived",
            "send exactly one message",
        ),
        reason(
            "UNKNOWN_SERVICE",
            Code::Unimplemented,
            NO,
            "the server doesn't implement this service",
            "check the address and the name",
        ),
    ],
};
