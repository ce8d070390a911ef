//! The event `UserCreated`: an account opens.

use flotilla_messaging::Event;
use flotilla_proto::identity::v1::UserCreated;

use super::{Unreadable, decode, parse_user, users::UserEvent};

pub const KIND: &str = "flotilla.identity.v1.UserCreated";

pub fn read(event: &Event) -> Result<UserEvent, Unreadable> {
    let message: UserCreated = decode(event)?;
    parse_user(&message.user).map(UserEvent::Created)
}
