//! `UserCreated`: a user signed up.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::identity::v1::UserCreated;

use crate::domain::notice::Notice;

/// Reads the event.
pub fn read(message: &UserCreated) -> Result<Option<Notice>, Unreadable> {
    let id = message.user.strip_prefix("users/").ok_or("user is not users/{user}")?;
    let customer = uuid("user", id)?;
    Ok(Some(Notice::welcome(customer, &message.display_name)))
}
