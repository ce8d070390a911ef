//! The crate's errors: store, broker and invalid input.

use flotilla_postgres::ErrorKind;

/// A store's failure. In-memory stores create theirs with [`flotilla_postgres::Error::new`].
pub type StoreError = flotilla_postgres::Error;

/// A broker's failure.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Not connected, or no answer in time.
    #[error("broker unavailable: {0}")]
    Unavailable(String),
    /// The stream doesn't exist.
    #[error("stream {0} does not exist")]
    NoStream(String),
    /// The durable consumer was deleted while it was being read.
    #[error("consumer is gone: {0}")]
    ConsumerGone(String),
    /// The stream's last sequence isn't the one that the writer expected.
    #[error("the stream's last sequence is not the expected one: {0}")]
    WrongLastSequence(String),
    /// The server is too old or refused the request.
    #[error("broker refused: {0}")]
    Refused(String),
}

/// Any failure of the crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store's failure.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A broker's failure.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// An event that is too large for any frame.
    #[error("event {kind} {id} takes {bytes} bytes, more than the {limit} that a frame can hold")]
    TooLarge {
        /// Its id.
        id: uuid::Uuid,
        /// Its type.
        kind: String,
        /// Its encoded size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A handler doesn't know a message that is published on its consumer's subjects.
    #[error(
        "consumer {consumer} doesn't read {kind}, which is published on its subjects; add it to the consumer's registry"
    )]
    Unread {
        /// The durable consumer.
        consumer: &'static str,
        /// The message's full name.
        kind: &'static str,
    },
    /// The metrics could not be registered.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// An invalid setting.
    #[error("messaging settings: {0}")]
    Settings(String),
}

impl Error {
    /// Whether a message is to blame.
    pub fn is_data(&self) -> bool {
        self.kind() == ErrorKind::Data
    }

    /// The failure's kind for a transaction; failures other than the store's are `Other`.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::TooLarge { .. } => ErrorKind::Data,
            Self::Broker(_) | Self::Metrics(_) | Self::Settings(_) | Self::Unread { .. } => ErrorKind::Other,
        }
    }

    /// Converts it into a PostgreSQL error, for callers whose own error type that is.
    pub fn into_postgres(self) -> flotilla_postgres::Error {
        match self {
            Self::Store(error) => error,
            other => flotilla_postgres::Error::new(other.kind(), other.to_string()),
        }
    }
}
