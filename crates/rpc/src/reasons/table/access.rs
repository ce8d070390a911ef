//! Who the caller is, and what it may.

use tonic::Code;

use super::{NO, reason};
use crate::reasons::Group;

pub(super) const GROUP: Group = Group {
    title: "Who may call",
    reasons: &[
        reason(
            "BAD_CREDENTIALS",
            Code::Unauthenticated,
            NO,
            "e-mail and password don't belong together",
            "sign in with the right ones",
        ),
        reason(
            "CURRENT_PASSWORD_WRONG",
            Code::PermissionDenied,
            NO,
            "the password that should allow the change isn't the user's",
            "send the right one in `current_password`",
        ),
        reason(
            "METHOD_NOT_ALLOWED",
            Code::PermissionDenied,
            NO,
            "no rule lets anybody call this method here",
            "see the contract for the methods that are open",
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
            "the method is for services of the fleet that it names, and the caller isn't one",
            "call through the gateway's own methods",
        ),
        reason(
            "REFRESH_TOKEN_EXPIRED",
            Code::Unauthenticated,
            NO,
            "the refresh token has ended, and its session with it",
            "sign in again",
        ),
        reason(
            "REFRESH_TOKEN_INVALID",
            Code::Unauthenticated,
            NO,
            "no session was given this refresh token",
            "sign in again",
        ),
        reason(
            "REFRESH_TOKEN_REUSED",
            Code::Unauthenticated,
            NO,
            "the refresh token was used before; its session was ended, as one of those who held it had stolen it",
            "sign in again; use each refresh token once, from one place",
        ),
        reason(
            "ROLE_NEEDS_OPERATOR",
            Code::PermissionDenied,
            NO,
            "only operators may give a role",
            "leave the role out",
        ),
        reason(
            "SESSION_REVOKED",
            Code::Unauthenticated,
            NO,
            "the session was ended: by a log-out, another password or role, or a refresh token that was used twice",
            "sign in again",
        ),
        reason("TOKEN_EXPIRED", Code::Unauthenticated, NO, "the token has ended", "refresh it or sign in again"),
        reason(
            "TOKEN_INVALID",
            Code::Unauthenticated,
            NO,
            "the token isn't the fleet's, was changed, or lacks a claim",
            "sign in again",
        ),
        reason(
            "TOKEN_MISSING",
            Code::Unauthenticated,
            NO,
            "the method needs a token",
            "send `authorization: Bearer ...`",
        ),
        reason(
            "TOO_MANY_SIGNING_KEYS",
            Code::FailedPrecondition,
            NO,
            "as many signing keys as may be published verify tokens still",
            "rotate again once the oldest has ended",
        ),
    ],
};
