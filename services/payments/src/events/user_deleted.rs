//! The event `UserDeleted`: an account closes. Its postings stay.

use flotilla_messaging::Unreadable;
use flotilla_proto::identity::v1::UserDeleted;

use super::{parse_user, users::UserEvent};

pub fn read(message: &UserDeleted) -> Result<Option<UserEvent>, Unreadable> {
    parse_user(&message.user).map(|user| Some(UserEvent::Deleted(user)))
}
