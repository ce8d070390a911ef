//! The handler of a consumer: one method that processes a batch in a transaction.

use async_trait::async_trait;

use crate::error::Error;
use crate::event::Event;

/// What a consumer claims in its inbox, in the transaction of a message's effects, and so what it applies once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Claim {
    /// Each event, by its id: a repeated event never reaches the handler, in whatever frame it comes.
    #[default]
    Event,
    /// Each frame, by its id; a row a frame, where [`Claim::Event`] costs a row an event. For a handler that is
    /// idempotent by a key of its own: an event that comes again in another frame, such as a command that was sent again,
    /// reaches it again. Events of a message that doesn't name its frames are claimed one by one.
    Frame,
}

/// Handles a consumer's messages. `T` is the store's transaction.
///
/// What the consumer has removed before depends on what it claims ([`Handler::claims`]). The handler locks its rows in sorted
/// order, decides over the events in the order given, and writes through `tx`. It must not commit. It may be called again
/// for the same events after a rollback, so it keeps no state of its own.
#[async_trait]
pub trait Handler<T: Send>: Send + Sync + 'static {
    /// Whether messages of this type are understood; others are parked as dead letters and never handled.
    fn knows(&self, kind: &str) -> bool;

    /// What the inbox remembers. A handler that is idempotent by a key of its own, whatever frame an event comes in, may
    /// claim frames.
    fn claims(&self) -> Claim {
        Claim::Event
    }

    /// One outcome for each event, in the same order.
    async fn handle(&self, tx: &mut T, events: &[Event]) -> Result<Vec<Outcome>, HandlerError>;
}

/// What became of one event.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Applied; these messages go to the outbox in the same transaction.
    Done(Vec<Event>),
    /// Can never be applied: parked as a dead letter, with the reason.
    DeadLetter(String),
    /// Can't be applied yet: parked and tried again with backoff, with the reason.
    RetryLater(String),
}

/// Why a batch could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The database refused or was away. Only its data errors (SQLSTATE classes 22 and 23) are held against a
    /// message.
    #[error(transparent)]
    Store(#[from] flotilla_postgres::Error),
    /// The message inside an event doesn't match its type.
    #[error("undecodable message: {0}")]
    Decode(#[from] prost::DecodeError),
    /// One of the events can't be applied, and which one isn't known: the batch is split until it is found.
    #[error("invalid message: {0}")]
    Invalid(String),
    /// A fault outside the messages; the whole batch is tried again.
    #[error("{0}")]
    Other(String),
}

impl HandlerError {
    /// Whether a message is to blame, so that splitting the batch finds it.
    pub fn is_data(&self) -> bool {
        match self {
            Self::Store(error) => error.kind() == flotilla_postgres::ErrorKind::Data,
            Self::Decode(_) | Self::Invalid(_) => true,
            Self::Other(_) => false,
        }
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => Self::Store(error),
            Error::TooLarge { .. } => Self::Invalid(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}
