//! The crate's errors: store, broker and invalid input.

use flotilla_postgres::ErrorKind;

/// A store's failure. Stores in memory make theirs by [`flotilla_postgres::Error::new`].
pub type StoreError = flotilla_postgres::Error;

/// A broker's failure.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Not connected, or no answer in time.
    #[error("broker unavailable: {0}")]
    Unavailable(String),
    /// The stream isn't there.
    #[error("stream {0} does not exist")]
    NoStream(String),
    /// The durable consumer went away while it was read.
    #[error("consumer is gone: {0}")]
    ConsumerGone(String),
    /// The stream's last sequence isn't what the writer took it for.
    #[error("the stream's last sequence is not the expected one: {0}")]
    WrongLastSequence(String),
    /// The server is too old or refused the request.
    #[error("broker refused: {0}")]
    Refused(String),
}

/// Any failure of the crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker's.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// An event that no frame can hold.
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
    /// A handler that doesn't know a message which is published on its consumer's subjects.
    #[error(
        "consumer {consumer} reads no {kind}, which is published on its subjects; add it to the consumer's registry"
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
    /// A setting that makes no sense.
    #[error("messaging settings: {0}")]
    Settings(String),
}

impl Error {
    /// Whether a message is to blame.
    pub fn is_data(&self) -> bool {
        self.kind() == ErrorKind::Data
    }

    /// What the failure means to a transaction; failures that are not the store's are `Other`.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::TooLarge { .. } => ErrorKind::Data,
            Self::Broker(_) | Self::Metrics(_) | Self::Settings(_) | Self::Unread { .. } => ErrorKind::Other,
        }
    }

    /// As an error of a transaction, for callers whose own error is PostgreSQL's.
    pub fn into_postgres(self) -> flotilla_postgres::Error {
        match self {
            Self::Store(error) => error,
            other => flotilla_postgres::Error::new(other.kind(), other.to_string()),
        }
    }
}
