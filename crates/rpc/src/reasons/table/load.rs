//! Who is away or has too much to do.

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
            "repeat after a pause",
        ),
        reason(
            "CALLER_LIMIT",
            Code::ResourceExhausted,
            YES,
            "this user or address holds its share of what the quota names; nothing was done",
            "end calls or streams that aren't needed, or repeat after the given pause",
        ),
        reason(
            "CATALOGUE_UNAVAILABLE",
            Code::Unavailable,
            YES,
            "orders can't ask for products just now",
            "repeat after a pause",
        ),
        reason(
            "CIRCUIT_OPEN",
            Code::Unavailable,
            YES,
            "a service behind this one fails and isn't called for a while; nothing was done there",
            "repeat after the given pause",
        ),
        reason(
            "CONNECTION_LOST",
            Code::Unavailable,
            NO,
            "the connection broke while the call was under way; its work may have been done",
            "repeat, if the method may be repeated",
        ),
        reason(
            "DATABASE_TIMEOUT",
            Code::DeadlineExceeded,
            NO,
            "the database didn't answer in time",
            "repeat later with a longer deadline",
        ),
        reason("DATABASE_UNAVAILABLE", Code::Unavailable, YES, "the database can't be reached", "repeat after a pause"),
        reason(
            "IMPORTS_BUSY",
            Code::ResourceExhausted,
            YES,
            "as many imports run as the server takes",
            "repeat after the given pause",
        ),
        reason(
            "KEYS_UNAVAILABLE",
            Code::Unavailable,
            YES,
            "the token can't be checked because its key can't be fetched",
            "repeat after a pause",
        ),
        reason(
            "ORDERS_PAUSED",
            Code::Unavailable,
            YES,
            "no new orders are taken for now; those that were accepted go on, and a repeat of one returns its order",
            "repeat after the given pause",
        ),
        reason(
            "OUTCOME_UNKNOWN",
            Code::Unavailable,
            YES,
            "the call broke off, perhaps after its work was done",
            "repeat with the same `request_id`",
        ),
        reason(
            "OVERLOADED",
            Code::ResourceExhausted,
            YES,
            "more calls are in flight than the server takes; nothing was done",
            "repeat after the given pause",
        ),
        reason(
            "PRICES_LOADING",
            Code::Unavailable,
            YES,
            "the replica doesn't know all prices yet",
            "repeat after the given pause",
        ),
        reason(
            "RATE_LIMITED",
            Code::ResourceExhausted,
            YES,
            "this user or address calls too often; nothing was done",
            "repeat after the given pause, and slow down",
        ),
        reason(
            "SERVER_DRAINING",
            Code::Unavailable,
            YES,
            "the server shuts down and ends its streams",
            "call again and resume: another replica answers",
        ),
        reason(
            "SHUTTING_DOWN",
            Code::Unavailable,
            YES,
            "the service shuts down; nothing was done",
            "call again: another replica answers",
        ),
        reason(
            "TOO_MANY_ATTEMPTS",
            Code::ResourceExhausted,
            YES,
            "so many passwords or refresh tokens from this network or for this account were wrong that the next has to wait; nothing was checked",
            "repeat after the given pause, with the right one",
        ),
        reason(
            "TOO_MANY_CALLS",
            Code::ResourceExhausted,
            YES,
            "the user has as many calls in flight, or as many streams open, as one may; nothing was done",
            "repeat after the given pause, with fewer at once",
        ),
        reason(
            "TOO_MANY_FEEDS",
            Code::ResourceExhausted,
            YES,
            "the user has too many feeds open",
            "close one, or repeat later",
        ),
        reason(
            "TOO_MANY_WATCHES",
            Code::ResourceExhausted,
            YES,
            "the user watches this order as often as one may",
            "close one, or repeat later",
        ),
        reason(
            "UNREACHABLE",
            Code::Unavailable,
            YES,
            "no address of the server could be connected to",
            "repeat after a pause",
        ),
    ],
};
