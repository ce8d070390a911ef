//! The event `UserUpdated`: nothing to payments, which knows no names.

use flotilla_messaging::Event;

use super::{Unreadable, users::UserEvent};

pub const KIND: &str = "flotilla.identity.v1.UserUpdated";

#[allow(clippy::unnecessary_wraps, reason = "one shape for the registry")]
pub fn read(_: &Event) -> Result<UserEvent, Unreadable> {
    Ok(UserEvent::Updated)
}
