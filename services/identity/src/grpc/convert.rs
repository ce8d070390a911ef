//! Between the contract and the domain.

use flotilla_proto::identity::v1 as proto;
use flotilla_rpc::{Role as CallerRole, etag, name};
use uuid::Uuid;

use crate::domain::{Role, User};

/// The resource name of a user.
pub fn user_name(id: Uuid) -> String {
    name::of("users", id)
}

/// A user as clients see it: never with a password.
pub fn user(user: User) -> proto::User {
    proto::User {
        name: user_name(user.id),
        email: user.email,
        display_name: user.display_name,
        password: String::new(),
        role: user.role.to_proto().into(),
        etag: etag::of(user.version),
        create_time: Some(user.created_at.into()),
        update_time: Some(user.updated_at.into()),
    }
}

/// The role as tokens carry it.
pub fn caller_role(role: Role) -> CallerRole {
    match role {
        Role::Customer => CallerRole::Customer,
        Role::Operator => CallerRole::Operator,
    }
}
