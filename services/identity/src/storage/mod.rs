//! Identity's tables `users`, `sessions`, `refresh_tokens`, `signing_keys`, `failed_attempts` and `known_networks`, and
//! the events that are committed with each change of a user.
//!
//! Writes go through the system role after the checks of `domain/`; a customer reads as the user role, bound by
//! row-level security.

mod attempts;
mod keys;
mod revocations;
mod sessions;
mod users;

use std::time::Duration;

pub use attempts::{Count, FailedAttempts, Key};
pub use keys::KeyTable;
pub use revocations::{BadCursor, Cursor, RevokedSessions};
pub use sessions::{Carried, Exchange, NewSession, Sessions};
pub use users::{Credentials, Insertion, Known, LISTED, NewPassword, NewUser, Users};

use crate::error::Error;

/// Repeats a transaction while the database is away or in conflict, within `deadline`; not after a commit whose
/// outcome is unknown, since these changes can't find their own earlier work.
async fn retrying<T, F, Fut>(deadline: Duration, mut attempt: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let settled = flotilla_postgres::retry(deadline, || {
        let attempt = attempt();
        async {
            match attempt.await {
                Err(Error::Store(error)) if !error.outcome_unknown() => Err(error),
                settled => Ok(settled),
            }
        }
    });
    settled.await?
}
