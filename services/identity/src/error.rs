//! Identity's errors, and their conversion for clients.

use std::time::Duration;

use flotilla_postgres::TransactionError;
use flotilla_rpc::{RpcError, Violations, name};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    domain::{ChangeRefusal, Violation, session::Refusal},
    keys::Stale,
    passwords::Busy,
};

/// The failure of a call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Invalid fields.
    #[error("invalid fields")]
    Invalid(Vec<Violation>),
    /// There is no such user, or none that the caller may see.
    #[error("user does not exist")]
    NotFound(Uuid),
    /// Another user has the address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The request id was used for another sign-up.
    #[error("the request id was used for another sign-up")]
    KeyReused,
    /// A customer tried to set a role.
    #[error("only operators set roles")]
    RoleNeedsOperator,
    /// There is no such session, or none that the caller may see.
    #[error("session does not exist")]
    NoSession(Uuid),
    /// The exchange of a refresh token was refused.
    #[error("{}", message(*.0))]
    Refresh(Refusal),
    /// The maximum number of keys still verify tokens.
    #[error("too many signing keys still verify tokens")]
    TooManyKeys,
    /// The address or the password is wrong.
    #[error("the e-mail address or the password is wrong")]
    BadCredentials,
    /// The current password in a change is wrong.
    #[error("the current password is wrong")]
    WrongCurrentPassword,
    /// After too many wrong secrets the next attempt must wait.
    #[error("too many wrong passwords or tokens; try again later")]
    TooManyAttempts(Duration),
    /// The signing keys are out of date again although they were just read.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// Too many passwords wait to be hashed.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// An error that is already in the form for clients.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] flotilla_postgres::Error),
}

impl TransactionError for Error {
    fn database(&self) -> Option<&flotilla_postgres::Error> {
        if let Self::Store(error) = self { Some(error) } else { None }
    }
}

impl From<Vec<Violation>> for Error {
    fn from(violations: Vec<Violation>) -> Self {
        Self::Invalid(violations)
    }
}

impl From<ChangeRefusal> for Error {
    fn from(refusal: ChangeRefusal) -> Self {
        match refusal {
            ChangeRefusal::RoleNeedsOperator => Self::RoleNeedsOperator,
        }
    }
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Invalid(violations) => invalid(violations),
            Error::NotFound(user) => flotilla_rpc::not_found(&name::of("users", user)),
            Error::EmailTaken => Self::new(Code::AlreadyExists, "EMAIL_TAKEN", text).field("user.email", "is taken"),
            Error::KeyReused => Self::new(Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED", text)
                .field("request_id", "was used for another sign-up"),
            Error::RoleNeedsOperator => {
                Self::new(Code::PermissionDenied, "ROLE_NEEDS_OPERATOR", text).field("user.role", "is set by operators")
            }
            Error::NoSession(session) => flotilla_rpc::not_found(&name::of("sessions", session)),
            Error::Refresh(refusal) => Self::new(Code::Unauthenticated, reason(refusal), text),
            Error::TooManyKeys => Self::new(Code::FailedPrecondition, "TOO_MANY_SIGNING_KEYS", text),
            Error::Stale(error) => flotilla_service::internal_error(&error),
            Error::BadCredentials => Self::new(Code::Unauthenticated, "BAD_CREDENTIALS", text),
            Error::WrongCurrentPassword => Self::new(Code::PermissionDenied, "CURRENT_PASSWORD_WRONG", text)
                .field("user.current_password", "is not the password"),
            Error::TooManyAttempts(wait) => {
                Self::new(Code::ResourceExhausted, "TOO_MANY_ATTEMPTS", text).retry_after(wait)
            }
            Error::Busy(_) => {
                Self::new(Code::ResourceExhausted, "OVERLOADED", text).retry_after(Duration::from_secs(1))
            }
            Error::Rpc(error) => error,
            Error::Store(error) => flotilla_service::storage_error(error),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        RpcError::from(error).into()
    }
}

fn message(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unknown => "the refresh token is not valid",
        Refusal::Expired => "the refresh token has expired",
        Refusal::Revoked => "the session has ended",
        Refusal::Reused => "the refresh token was used before; its session has ended",
    }
}

fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unknown => "REFRESH_TOKEN_INVALID",
        Refusal::Expired => "REFRESH_TOKEN_EXPIRED",
        Refusal::Revoked => "SESSION_REVOKED",
        Refusal::Reused => "REFRESH_TOKEN_REUSED",
    }
}

fn invalid(violations: Vec<Violation>) -> RpcError {
    let mut all = Violations::new();
    for Violation { field, description } in violations {
        all.add(field, description);
    }
    all.finish().err().unwrap_or_else(RpcError::internal)
}
