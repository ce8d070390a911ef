//! The rules about users: which values their fields may have, which spellings are the same address or password, who may
//! change what, and when two sign-ups are the same; about sessions: what the use of a refresh token does; about
//! guessing: how long attempts must wait.
//!
//! Pure: no I/O, no clock, no ids of its own, and no password hashing (which is slow and belongs to `passwords.rs`).

pub mod change;
pub mod email;
pub mod guessing;
pub mod precis;
pub mod session;
pub mod sign_up;
pub mod user;

pub use change::{Change, ChangeRefusal};
pub use sign_up::SignUp;
pub use user::{Role, User, Violation};
