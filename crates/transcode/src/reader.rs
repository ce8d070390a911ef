//! Reads the JSON of one message type.

use std::sync::Arc;

use bytes::Bytes;
#[cfg(test)]
use prost_reflect::MessageDescriptor;

use crate::read::{self, Refusal};
use crate::schema::Schema;

/// Reads requests of one method that consist only of JSON, without parts in path, query or headers.
#[derive(Debug, Clone)]
pub struct Reader {
    schema: Arc<Schema>,
    message: usize,
}

impl Reader {
    /// A reader for the message with this index.
    pub fn new(schema: &Arc<Schema>, message: usize) -> Self {
        Self { schema: Arc::clone(schema), message }
    }

    /// A reader for a single message type.
    #[cfg(test)]
    pub fn of(descriptor: &MessageDescriptor) -> Self {
        let mut schema = Schema::default();
        let message = schema.add(descriptor);
        Self { schema: Arc::new(schema), message }
    }

    /// Reads a message and returns it encoded.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, json: &[u8]) -> Result<Bytes, Refusal> {
        let text = std::str::from_utf8(json)
            .map_err(|error| Refusal::Malformed(format!("not UTF-8 from byte {}", error.valid_up_to())))?;
        let mut out = Vec::with_capacity(json.len());
        read::message(&self.schema, self.message, text, &mut out)?;
        Ok(out.into())
    }
}
