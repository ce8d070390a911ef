//! The event `UserCreated`: an account opens.

use flotilla_messaging::Unreadable;
use flotilla_proto::identity::v1::UserCreated;

use super::{parse_user, users::UserEvent};

pub fn read(message: &UserCreated) -> Result<Option<UserEvent>, Unreadable> {
    parse_user(&message.user).map(|user| Some(UserEvent::Created(user)))
}
