//! The registry of a durable consumer: the messages that it reads, each with its `read` function.
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

/// Why a message can never be read; the reason of its dead letter.
pub type Unreadable = String;

/// Reads an event with one type of message.
type Read<T> = Box<dyn Fn(&Event) -> Result<T, Unreadable> + Send + Sync>;

/// The messages that a consumer reads: for each type, the function that converts it to a `T`.
pub struct Registry<T> {
    consumer: &'static Consumer,
    readers: HashMap<String, Read<T>>,
}

impl<T: 'static> Registry<T> {
    /// An empty registry for a consumer.
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
    /// The reason for its dead letter: its type is unknown here, it can't be decoded, or its content is invalid.
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
    /// Adds a type of message that is published on the consumer's subjects and that it ignores.
    #[must_use]
    pub fn ignore<M: Message + Published + Default + 'static>(self) -> Self {
        self.on::<M>(|_| Ok(None))
    }
}

/// Parses the id in a field of a message.
///
/// # Errors
/// The id is not a UUID.
pub fn uuid(field: &str, id: &str) -> Result<Uuid, Unreadable> {
    Uuid::try_parse(id).map_err(|_| format!("{field} is not a UUID"))
}
