//! The event `UserDeleted`: an account closes. Its postings stay.

use flotilla_messaging::Event;
use flotilla_proto::identity::v1::UserDeleted;

use super::{Unreadable, decode, parse_user, users::UserEvent};

pub const KIND: &str = "flotilla.identity.v1.UserDeleted";

pub fn read(event: &Event) -> Result<UserEvent, Unreadable> {
    let message: UserDeleted = decode(event)?;
    parse_user(&message.user).map(UserEvent::Deleted)
}
