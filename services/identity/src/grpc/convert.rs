//! Conversions between the contract and the domain.

use std::time::{Duration, SystemTime};

use flotilla_auth::Role as CallerRole;
use flotilla_listing::etag;
use flotilla_proto::identity::v1 as proto;
use flotilla_rpc::name;
use uuid::Uuid;

use crate::domain::{Role, User, session::Session};

/// The collection of sessions.
pub const SESSIONS: &str = "sessions";

/// The resource name of a user.
pub fn user_name(id: Uuid) -> String {
    name::of("users", id)
}

/// The resource name of a session.
pub fn session_name(id: Uuid) -> String {
    name::of(SESSIONS, id)
}

/// Converts a session for its user, who calls from the session `current`.
pub fn session(session: Session, current: Uuid) -> proto::Session {
    proto::Session {
        name: session_name(session.id),
        client_label: session.client_label,
        current: session.id == current,
        create_time: Some(session.created_at.into()),
        refresh_time: Some(session.refreshed_at.into()),
        expire_time: Some(session.expires_at.into()),
    }
}

/// The time in whole seconds, as in tokens.
pub fn whole_seconds(time: SystemTime) -> SystemTime {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Converts a user for clients, never with a password.
pub fn user(user: User) -> proto::User {
    proto::User {
        name: user_name(user.id),
        email: user.email.into_exposed(),
        display_name: user.display_name.into_exposed(),
        password: String::new(),
        current_password: String::new(),
        role: user.role.to_proto().into(),
        etag: etag::of(user.version, etag::time(user.updated_at)),
        create_time: Some(user.created_at.into()),
        update_time: Some(user.updated_at.into()),
    }
}

/// The role in tokens.
pub fn caller_role(role: Role) -> CallerRole {
    match role {
        Role::Customer => CallerRole::Customer,
        Role::Operator => CallerRole::Operator,
    }
}
