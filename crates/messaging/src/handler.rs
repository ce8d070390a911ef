//! The handler of a consumer: one method that processes a batch in a transaction.

use async_trait::async_trait;

use crate::error::Error;
use crate::event::Event;

/// What a consumer records in its inbox, in the transaction of a message's effects, and therefore applies only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Claim {
    /// Each event, by its id: a duplicate event never reaches the handler, whatever frame contains it.
    #[default]
    Event,
    /// Each frame, by its id: one row per frame instead of one per event as with [`Claim::Event`]. For a handler that
    /// is idempotent by a key of its own: the same event in another frame, such as a command that was re-sent, reaches
    /// it again. Events of a message that doesn't name its frames are claimed one by one.
    Frame,
}

/// Handles a consumer's messages. `T` is the store's transaction.
///
/// Which duplicates the consumer has already removed depends on its claim ([`Handler::claims`]). The handler locks its
/// rows in sorted order, processes the events in the given order, and writes through `tx`. It must not commit. It may
/// be called again for the same events after a rollback, so it must not keep state.
#[async_trait]
pub trait Handler<T: Send>: Send + Sync + 'static {
    /// Whether messages of this type are understood; others are parked as dead letters and never handled.
    fn knows(&self, kind: &str) -> bool;

    /// What the inbox records. A handler that is idempotent by a key of its own, independent of frames, may claim
    /// frames.
    fn claims(&self) -> Claim {
        Claim::Event
    }

    /// Called before a batch is split to find the event that makes it fail: once, with all its events, in the
    /// transaction in which its parts are handled one after the other. A handler that takes locks in the order of a key
    /// takes them here, because the order would only hold within each part.
    async fn prepare(&self, _tx: &mut T, _events: &[Event]) -> Result<(), HandlerError> {
        Ok(())
    }

    /// One outcome for each event, in the same order.
    async fn handle(&self, tx: &mut T, events: &[Event]) -> Result<Vec<Outcome>, HandlerError>;
}

/// The outcome of one event.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Applied; these messages are appended to the outbox in the same transaction.
    Done(Vec<Event>),
    /// Can never be applied: parked as a dead letter, with the reason.
    DeadLetter(String),
    /// Can't be applied yet: parked with the reason, and retried with backoff.
    RetryLater(String),
}

/// Why a batch could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The database refused or was unavailable. Only data errors (SQLSTATE classes 22 and 23) are blamed on a message.
    #[error(transparent)]
    Store(#[from] flotilla_postgres::Error),
    /// The message inside an event doesn't match its type.
    #[error("undecodable message: {0}")]
    Decode(#[from] prost::DecodeError),
    /// One of the events can't be applied, but it is unknown which: the batch is split until it is found.
    #[error("invalid message: {0}")]
    Invalid(String),
    /// A failure that no message caused; the whole batch is retried.
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
