//! The registry of a durable consumer: the messages that it reads, each with the function that reads it.
//!
//! A new message is one new file with its `read`, and one line here:
//!
//! ```ignore
//! Registry::of(&consumers::PAYMENTS_ORDERS).on(charge_payment::read).on(refund_payment::read)
//! ```

use std::collections::HashMap;

use flotilla_proto::events::{Consumer, Published};
use prost::Message;
use uuid::Uuid;

use crate::Event;

/// Why no repetition makes a message readable; it becomes the reason of the dead letter.
pub type Unreadable = String;

/// Reads an event that holds one type of message.
type Read<T> = Box<dyn Fn(&Event) -> Result<T, Unreadable> + Send + Sync>;

/// What a consumer reads: for each type of message, how it becomes a `T`.
pub struct Registry<T> {
    consumer: &'static Consumer,
    readers: HashMap<String, Read<T>>,
}

impl<T: 'static> Registry<T> {
    /// The registry of a consumer, empty so far.
    #[must_use]
    pub fn of(consumer: &'static Consumer) -> Self {
        Self { consumer, readers: HashMap::new() }
    }

    /// Adds a type of message.
    #[must_use]
    pub fn on<M: Message + Published + Default + 'static>(mut self, read: fn(&M) -> Result<T, Unreadable>) -> Self {
        let read = move |event: &Event| read(&event.decode().map_err(|error| format!("undecodable message: {error}"))?);
        self.readers.insert(M::full_name(), Box::new(read));
        self
    }

    /// The consumer.
    #[must_use]
    pub fn consumer(&self) -> &'static Consumer {
        self.consumer
    }

    /// Whether messages of this type, by its full name, are read.
    #[must_use]
    pub fn knows(&self, kind: &str) -> bool {
        self.readers.contains_key(kind)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// The reason for its dead letter: its type isn't known here, it can't be decoded, or it makes no sense.
    pub fn read(&self, event: &Event) -> Result<T, Unreadable> {
        let Some(read) = self.readers.get(&event.kind) else {
            return Err(format!(
                "unknown message type {}; {} reads {}",
                event.kind,
                self.consumer.durable,
                self.kinds()
            ));
        };
        read(event)
    }

    fn kinds(&self) -> String {
        let mut kinds: Vec<&str> = self.readers.keys().map(String::as_str).collect();
        kinds.sort_unstable();
        kinds.join(", ")
    }
}

impl<T: 'static> Registry<Option<T>> {
    /// Adds a type of message that is published on the consumer's subjects and is of no concern to it.
    #[must_use]
    pub fn ignore<M: Message + Published + Default + 'static>(self) -> Self {
        self.on::<M>(|_| Ok(None))
    }
}

/// The id in a field of a message.
///
/// # Errors
/// It is not a UUID.
pub fn uuid(field: &str, id: &str) -> Result<Uuid, Unreadable> {
    Uuid::try_parse(id).map_err(|_| format!("{field} is not a UUID"))
}
