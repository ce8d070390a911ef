//! Reads the JSON of one type of message.

use std::sync::Arc;

use bytes::Bytes;
#[cfg(test)]
use prost_reflect::MessageDescriptor;

use crate::read::{self, Refusal};
use crate::schema::Schema;

/// Reads requests of one method that come as JSON without a path, query or headers that say something too.
#[derive(Debug, Clone)]
pub struct Reader {
    schema: Arc<Schema>,
    message: usize,
}

impl Reader {
    /// A reader of the message with an index.
    pub fn new(schema: &Arc<Schema>, message: usize) -> Self {
        Self { schema: Arc::clone(schema), message }
    }

    /// A reader of a message alone.
    #[cfg(test)]
    pub fn of(descriptor: &MessageDescriptor) -> Self {
        let mut schema = Schema::default();
        let message = schema.add(descriptor);
        Self { schema: Arc::new(schema), message }
    }

    /// The message, encoded.
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
