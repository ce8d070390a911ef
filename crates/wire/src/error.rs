//! Errors in the bytes of a body.

/// Why a body can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A message is larger than allowed, as received or after inflation.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// The maximum size in bytes.
        limit: usize,
    },
    /// The body ended within a message.
    #[error("the request ended within a message")]
    Incomplete,
    /// A compressed message can't be inflated.
    #[error("the message is not valid gzip")]
    NotGzip,
}
