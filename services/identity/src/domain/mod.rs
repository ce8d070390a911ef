//! The rules about users: what their fields may hold, which texts are the same address or password, who may change
//! what, and when a repeated sign-up is the same; about sessions: what using a refresh token does; about guessing: how
//! long attempts must wait.
//!
//! Pure: no I/O, no clock, no ids of its own, and no password hashing (that is slow work for `passwords.rs`).

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
