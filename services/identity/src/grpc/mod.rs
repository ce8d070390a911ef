//! Identity's two gRPC services and who may call which method.

mod auth;
mod convert;
mod users;

use std::time::Duration;

use flotilla_rpc::{Access, AccessRules, Deadline};

pub use auth::Auth;
pub use users::UserApi;

/// The longest that a call without a deadline waits for the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who may call what. Ownership is checked by the methods.
pub fn rules() -> AccessRules {
    AccessRules::new()
        .allow("/flotilla.identity.v1.AuthService/Login", Access::Public)
        .allow("/flotilla.identity.v1.AuthService/GetJsonWebKeySet", Access::Public)
        .allow("/flotilla.identity.v1.UserService/CreateUser", Access::Public)
        .allow("/flotilla.identity.v1.UserService/GetUser", Access::Authenticated)
        .allow("/flotilla.identity.v1.UserService/ListUsers", Access::Operator)
        .allow("/flotilla.identity.v1.UserService/UpdateUser", Access::Authenticated)
        .allow("/flotilla.identity.v1.UserService/DeleteUser", Access::Authenticated)
}

/// How long a call may still take.
fn remaining() -> Duration {
    Deadline::at_most(PATIENCE)
}
