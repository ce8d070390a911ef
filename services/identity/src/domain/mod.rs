//! The rules about users: what their fields may hold, who may change what, and when a repeated sign-up is the same; and
//! about sessions: what a refresh token does that is shown.
//!
//! Pure: no I/O, no clock, no ids of its own, and never a hash of a password (that is slow work for `passwords.rs`).

pub mod change;
pub mod session;
pub mod sign_up;
pub mod user;

pub use change::{Change, ChangeRefusal};
pub use sign_up::SignUp;
pub use user::{Role, User, Violation};
