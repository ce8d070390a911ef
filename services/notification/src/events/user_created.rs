//! `UserCreated`: a user signed up.

use flotilla_messaging::Event;
use flotilla_proto::identity::v1::UserCreated;

use crate::domain::notice::Notice;

/// Reads the event.
pub fn read(event: &Event) -> Result<Option<Notice>, String> {
    let message: UserCreated = super::decode(event)?;
    let id = message.user.strip_prefix("users/").ok_or("user is not users/{user}")?;
    let customer = super::uuid("user", id)?;
    Ok(Some(Notice::welcome(customer, &message.display_name)))
}
