//! Reasons about authentication and permissions.

use tonic::Code;

use super::{NO, reason};
use crate::reasons::Group;

pub(super) const GROUP: Group = Group {
    title: "Authentication and authorization",
    reasons: &[
        reason(
            "BAD_CREDENTIALS",
            Code::Unauthenticated,
            NO,
            "e-mail address and password don't match",
            "sign in with the right credentials",
        ),
        reason(
            "CURRENT_PASSWORD_WRONG",
            Code::PermissionDenied,
            NO,
            "the current password that was sent is wrong",
            "send the current password in `current_password`",
        ),
        reason(
            "METHOD_NOT_ALLOWED",
            Code::PermissionDenied,
            NO,
            "no access rule allows this method here",
            "see the contract for the available methods",
        ),
        reason(
            "OPERATOR_REQUIRED",
            Code::PermissionDenied,
            NO,
            "only operators may call this method",
            "sign in as an operator",
        ),
        reason(
            "PEER_NOT_ALLOWED",
            Code::PermissionDenied,
            NO,
            "the method is reserved for certain services of the fleet, and the caller isn't one of them",
            "use the gateway's public methods",
        ),
        reason(
            "REFRESH_TOKEN_EXPIRED",
            Code::Unauthenticated,
            NO,
            "the refresh token has expired, and its session with it",
            "sign in again",
        ),
        reason("REFRESH_TOKEN_INVALID", Code::Unauthenticated, NO, "the refresh token is unknown", "sign in again"),
        reason(
            "REFRESH_TOKEN_REUSED",
            Code::Unauthenticated,
            NO,
            "the refresh token was used before; its session was ended, because one of the parties using it must have stolen it",
            "sign in again; use each refresh token only once, from one place",
        ),
        reason("ROLE_NEEDS_OPERATOR", Code::PermissionDenied, NO, "only operators may set a role", "omit the role"),
        reason(
            "SESSION_REVOKED",
            Code::Unauthenticated,
            NO,
            "the session was ended by a logout, a change of password or role, or a refresh token that was used twice",
            "sign in again",
        ),
        reason("TOKEN_EXPIRED", Code::Unauthenticated, NO, "the token has expired", "refresh it or sign in again"),
        reason(
            "TOKEN_INVALID",
            Code::Unauthenticated,
            NO,
            "the token wasn't issued by this fleet, was modified, or lacks a claim",
            "sign in again",
        ),
        reason(
            "TOKEN_MISSING",
            Code::Unauthenticated,
            NO,
            "the method requires a token",
            "send `authorization: Bearer ...`",
        ),
        reason(
            "TOO_MANY_SIGNING_KEYS",
            Code::FailedPrecondition,
            NO,
            "the maximum number of signing keys is still in use for verification",
            "rotate again once the oldest has been removed",
        ),
    ],
};
