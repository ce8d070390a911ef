//! What can be wrong with the bytes of a body.

/// Why a body can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A message is larger than allowed, as it came or once inflated.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// The largest that is allowed, in bytes.
        limit: usize,
    },
    /// The body ended within a message.
    #[error("the request ended within a message")]
    Incomplete,
    /// A compressed message can't be inflated.
    #[error("the message is not valid gzip")]
    NotGzip,
}
