//! Splits a body into its messages as it arrives.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flotilla_rpc::RpcError;
use flotilla_wire::{Messages, WireError};
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt as _;
use tonic::Status;

use crate::admission::RequestMemory;

/// Why a request was aborted; sent to the client when its call fails because of it.
#[derive(Debug, Clone, Default)]
pub struct Fault(Arc<OnceLock<Status>>);

impl Fault {
    /// Records a reason; the first one counts.
    pub fn note(&self, status: Status) {
        // Later ones follow from the first.
        let _ = self.0.set(status);
    }

    /// The reason, if there is one.
    pub fn get(&self) -> Option<&Status> {
        self.0.get()
    }
}

/// Why a body broke: a reason of the gateway, or the client went away.
pub fn broken(error: Box<dyn std::error::Error + Send + Sync>) -> Status {
    error.downcast::<Status>().map_or_else(|_| Status::cancelled("the client aborted the request"), |status| *status)
}

/// A body and its messages.
#[derive(Debug)]
pub struct MessageReader<B> {
    body: B,
    messages: Messages,
    /// Where the buffer is counted, and how much of it has been counted.
    memory: Option<RequestMemory>,
    counted: usize,
    trailers: Option<HeaderMap>,
}

impl<B> MessageReader<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Messages of at most `limit` bytes.
    pub fn new(body: B, limit: usize) -> Self {
        Self { body, messages: Messages::new(limit), memory: None, counted: 0, trailers: None }
    }

    /// Counts the largest size of its buffer in `memory`.
    #[must_use]
    pub fn counted(mut self, memory: Option<RequestMemory>) -> Self {
        self.memory = memory;
        self
    }

    /// The next message with its flags; `None` at the end.
    ///
    /// # Errors
    /// A message is too large or incomplete, or the body broke.
    pub async fn next(&mut self) -> Result<Option<(u8, Bytes)>, Status> {
        loop {
            if let Some(message) = self.messages.cut().map_err(RpcError::from)? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                None if self.messages.is_empty() => return Ok(None),
                None => return Err(RpcError::from(WireError::Incomplete).into()),
                Some(Err(error)) => return Err(broken(error.into())),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.count(self.messages.len() + data.len())?;
                        if let Some(message) = self.messages.alone(&data).map_err(RpcError::from)? {
                            return Ok(Some(message));
                        }
                        self.messages.push(&data);
                    }
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
    }

    /// The trailers, once the end has been reached.
    pub fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    fn count(&mut self, size: usize) -> Result<(), Status> {
        let more = size.saturating_sub(self.counted);
        if let Some(memory) = self.memory.as_ref().filter(|_| more > 0) {
            memory.grow(more)?;
            self.counted += more;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use flotilla_wire::prefixed;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tonic::Code;

    use super::*;

    fn body(bytes: &[u8], size: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin + use<> {
        let frames: Vec<_> = bytes.chunks(size).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
        StreamBody::new(futures::stream::iter(frames))
    }

    #[tokio::test]
    async fn messages_are_split_however_they_arrive() {
        let sent = [prefixed(0, b"one"), prefixed(1, b""), prefixed(2, b"three")].concat();
        for size in 1..=sent.len() {
            let mut messages = MessageReader::new(body(&sent, size), 10);
            let mut seen = Vec::new();
            while let Some((flags, message)) = messages.next().await.unwrap() {
                seen.push((flags, message));
            }
            let expected = [(0, "one"), (1, ""), (2, "three")].map(|(flags, text)| (flags, Bytes::from(text)));
            assert_eq!(seen, expected, "pieces of {size}");
        }
    }

    #[tokio::test]
    async fn too_large_and_truncated_messages_are_refused() {
        for (sent, code) in [
            (prefixed(0, &[1; 11]), Code::ResourceExhausted),
            (prefixed(0, &[1; 10]).slice(..9), Code::InvalidArgument),
            (prefixed(0, &[1; 10]).slice(..3), Code::InvalidArgument),
        ] {
            let status = MessageReader::new(body(&sent, 4), 10).next().await.unwrap_err();
            assert_eq!(status.code(), code, "{sent:?}");
        }
    }
}
