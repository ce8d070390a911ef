//! What is wrong with a call whatever it asks for.

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
            "the compression of the request is not known",
            "compress by gzip or not at all",
        ),
        reason(
            "COMPRESSION_UNNAMED",
            Code::Internal,
            NO,
            "a message is marked as compressed, but no compression was named",
            "name the compression in `grpc-encoding`",
        ),
        reason(
            "DEADLINE_EXCEEDED",
            Code::DeadlineExceeded,
            NO,
            "the call's deadline has passed; its work was cancelled",
            "repeat with a longer deadline, if the method may be repeated",
        ),
        reason(
            "FLAGS_UNKNOWN",
            Code::InvalidArgument,
            NO,
            "a message has flags that the protocol doesn't know",
            "follow the protocol's framing",
        ),
        reason(
            "INTERNAL",
            Code::Internal,
            NO,
            "a fault of the fleet; the cause is logged under the incident in the metadata",
            "report it with the incident or the request id",
        ),
        reason(
            "MESSAGE_INCOMPLETE",
            Code::InvalidArgument,
            NO,
            "the request ended within a message",
            "send whole messages",
        ),
        reason(
            "MESSAGE_TOO_LARGE",
            Code::ResourceExhausted,
            NO,
            "a message is larger than `limit_bytes` in the metadata, as it came or once inflated",
            "send less at once",
        ),
        reason(
            "METHOD_UNKNOWN",
            Code::Unimplemented,
            NO,
            "the service has no such method for this caller",
            "see the contract for its methods",
        ),
        reason(
            "NO_BACKEND",
            Code::Unimplemented,
            NO,
            "no service stands behind this method",
            "check the gateway's settings",
        ),
        reason(
            "ONE_MESSAGE",
            Code::Unimplemented,
            NO,
            "the method takes one message, and not so many came",
            "send one message",
        ),
        reason(
            "UNKNOWN_SERVICE",
            Code::Unimplemented,
            NO,
            "this server has no such service",
            "check the address and the name",
        ),
    ],
};
