//! What can be cached.

use bytes::Bytes;

/// A value that can be encoded for Redis and weighed for memory.
pub trait Value: Send + Sync + Sized + 'static {
    /// Encodes it.
    fn encode(&self) -> Bytes;

    /// Decodes it; `None` if it has another format, and then it is loaded again.
    fn decode(encoded: Bytes) -> Option<Self>;

    /// Its size in memory, in bytes.
    fn weight(&self) -> usize;
}

impl Value for Bytes {
    fn encode(&self) -> Bytes {
        self.clone()
    }

    fn decode(encoded: Bytes) -> Option<Self> {
        // A copy: the slice would keep the whole buffer of the connection in memory.
        Some(Self::copy_from_slice(&encoded))
    }

    fn weight(&self) -> usize {
        self.len()
    }
}
