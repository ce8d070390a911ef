//! Reasons about unavailability and overload.

use tonic::Code;

use super::{NO, YES, reason};
use crate::reasons::Group;

pub(super) const GROUP: Group = Group {
    title: "Load and availability",
    reasons: &[
        reason(
            "BACKEND_UNAVAILABLE",
            Code::Unavailable,
            YES,
            "the gateway can't reach the service",
            "retry after a pause",
        ),
        reason(
            "CALLER_LIMIT",
            Code::ResourceExhausted,
            YES,
            "this user or address has used up its share of the resource that the quota names; nothing was done",
            "end calls or streams that aren't needed, or retry after the given delay",
        ),
        reason(
            "CATALOGUE_UNAVAILABLE",
            Code::Unavailable,
            YES,
            "the order service can't reach the catalogue at the moment",
            "retry after a pause",
        ),
        reason(
            "CIRCUIT_OPEN",
            Code::Unavailable,
            YES,
            "a backend is failing and isn't called for a while (circuit breaker); nothing was done there",
            "retry after the given delay",
        ),
        reason(
            "CONNECTION_LOST",
            Code::Unavailable,
            NO,
            "the connection was lost during the call; its work may have been done",
            "retry, if the method may be retried",
        ),
        reason(
            "DATABASE_TIMEOUT",
            Code::DeadlineExceeded,
            NO,
            "the database didn't respond in time",
            "retry later with a longer deadline",
        ),
        reason("DATABASE_UNAVAILABLE", Code::Unavailable, YES, "the database can't be reached", "retry after a pause"),
        reason(
            "IMPORTS_BUSY",
            Code::ResourceExhausted,
            YES,
            "the maximum number of imports is running",
            "retry after the given delay",
        ),
        reason(
            "KEYS_UNAVAILABLE",
            Code::Unavailable,
            YES,
            "the token can't be checked because its key can't be fetched",
            "retry after a pause",
        ),
        reason(
            "ORDERS_PAUSED",
            Code::Unavailable,
            YES,
            "new orders are paused; accepted orders continue, and a repeat of an accepted request returns its order",
            "retry after the given delay",
        ),
        reason(
            "OUTCOME_UNKNOWN",
            Code::Unavailable,
            YES,
            "the call was interrupted, perhaps after its work was done",
            "retry with the same `request_id`",
        ),
        reason(
            "OVERLOADED",
            Code::ResourceExhausted,
            YES,
            "too many calls are in flight; nothing was done",
            "retry after the given delay",
        ),
        reason(
            "PRICES_LOADING",
            Code::Unavailable,
            YES,
            "the replica hasn't loaded all prices yet",
            "retry after the given delay",
        ),
        reason(
            "RATE_LIMITED",
            Code::ResourceExhausted,
            YES,
            "this user or address sends too many calls; nothing was done",
            "retry after the given delay, and slow down",
        ),
        reason(
            "SERVER_DRAINING",
            Code::Unavailable,
            YES,
            "the server is shutting down and ends its streams",
            "call again and resume: another replica will answer",
        ),
        reason(
            "SHUTTING_DOWN",
            Code::Unavailable,
            YES,
            "the service is shutting down; nothing was done",
            "call again: another replica will answer",
        ),
        reason(
            "TOO_MANY_ATTEMPTS",
            Code::ResourceExhausted,
            YES,
            "too many wrong passwords or refresh tokens came from this network or for this account; nothing was checked",
            "retry after the given delay with the right one",
        ),
        reason(
            "TOO_MANY_CALLS",
            Code::ResourceExhausted,
            YES,
            "the user has too many calls in flight or streams open; nothing was done",
            "retry after the given delay with fewer at a time",
        ),
        reason(
            "TOO_MANY_FEEDS",
            Code::ResourceExhausted,
            YES,
            "the user has too many feeds open",
            "close one, or retry later",
        ),
        reason(
            "TOO_MANY_WATCHES",
            Code::ResourceExhausted,
            YES,
            "the user has too many watches on this order",
            "close one, or retry later",
        ),
        reason(
            "UNREACHABLE",
            Code::Unavailable,
            YES,
            "none of the server's addresses can be reached",
            "retry after a pause",
        ),
    ],
};
