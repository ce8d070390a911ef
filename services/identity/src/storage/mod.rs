//! Identity's tables `users`, `sessions`, `refresh_tokens`, `signing_keys`, `failed_attempts` and `known_networks`, and
//! the events that are committed with each change of a user.
//!
//! Writes use the system role after the checks in `domain/`; customers read with the user role under row-level
//! security.

mod attempts;
mod keys;
mod revocations;
mod sessions;
mod users;

pub use attempts::{Count, FailedAttempts, Key};
pub use keys::KeyTable;
pub use revocations::{BadCursor, Cursor, RevokedSessions};
pub use sessions::{Carried, Exchange, NewSession, Sessions};
pub use users::{Credentials, Insertion, Known, LISTED, NewPassword, NewUser, Users};
