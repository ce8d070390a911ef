//! Frames: a byte of flags, the length in four bytes (big endian), the message.

use std::sync::{Arc, OnceLock};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flotilla_rpc::RpcError;
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt as _;
use tonic::{Code, Status};

use crate::admission::RequestMemory;

/// Bytes before each message.
pub const PREFIX: usize = 5;
/// Flag of a message that is compressed.
pub const COMPRESSED: u8 = 1;
/// What compression may add to a message that doesn't shrink.
const PACKING_SLACK: usize = 1024;

/// Why a request could not go on; told to the client when its call breaks because of it.
#[derive(Debug, Clone, Default)]
pub struct Fault(Arc<OnceLock<Status>>);

impl Fault {
    /// Notes a reason; the first one counts.
    pub fn note(&self, status: Status) {
        // Later ones follow from the first.
        let _ = self.0.set(status);
    }

    /// The reason, if there is one.
    pub fn get(&self) -> Option<&Status> {
        self.0.get()
    }
}

/// A message in its frame.
pub fn framed(flags: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(flags);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(message);
    frame.freeze()
}

/// The largest body of a frame with these flags.
pub fn largest(flags: u8, limit: usize) -> usize {
    if flags & COMPRESSED == 0 { limit } else { limit + limit / 64 + PACKING_SLACK }
}

/// `RESOURCE_EXHAUSTED` for a message beyond the limit.
pub fn too_large(limit: usize) -> RpcError {
    RpcError::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", format!("the message is larger than {limit} bytes"))
        .metadata("limit_bytes", limit.to_string())
}

/// `INVALID_ARGUMENT` for a body that ends within a message.
pub fn incomplete() -> RpcError {
    RpcError::new(Code::InvalidArgument, "MESSAGE_INCOMPLETE", "the request ended within a message")
}

/// What broke a body: a reason of ours, or the client that went away.
pub fn broken(error: Box<dyn std::error::Error + Send + Sync>) -> Status {
    error.downcast::<Status>().map_or_else(|_| Status::cancelled("the request was broken off"), |status| *status)
}

/// Cuts a body into its messages.
#[derive(Debug)]
pub struct Frames<B> {
    body: B,
    limit: usize,
    buffer: BytesMut,
    /// Where the buffer is counted, and how much of it has been counted.
    memory: Option<RequestMemory>,
    counted: usize,
    trailers: Option<HeaderMap>,
}

impl<B> Frames<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Messages of at most `limit` bytes.
    pub fn new(body: B, limit: usize) -> Self {
        Self { body, limit, buffer: BytesMut::new(), memory: None, counted: 0, trailers: None }
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
            if let Some(frame) = self.cut()? {
                return Ok(Some(frame));
            }
            match self.body.frame().await {
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(incomplete().into()),
                Some(Err(error)) => return Err(broken(error.into())),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.buffer.extend_from_slice(&data);
                        self.count()?;
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

    fn count(&mut self) -> Result<(), Status> {
        let more = self.buffer.len().saturating_sub(self.counted);
        if let Some(memory) = self.memory.as_ref().filter(|_| more > 0) {
            memory.grow(more)?;
            self.counted += more;
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<Option<(u8, Bytes)>, Status> {
        let [flags, a, b, c, d, ..] = self.buffer[..] else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > largest(flags, self.limit) {
            return Err(too_large(self.limit).into());
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some((flags, self.buffer.split_to(length).freeze())))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn body(bytes: &[u8], size: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin + use<> {
        let frames: Vec<_> = bytes.chunks(size).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
        StreamBody::new(futures::stream::iter(frames))
    }

    #[tokio::test]
    async fn messages_are_cut_out_however_they_arrive() {
        let sent = [framed(0, b"one"), framed(1, b""), framed(2, b"three")].concat();
        for size in 1..=sent.len() {
            let mut frames = Frames::new(body(&sent, size), 10);
            let mut seen = Vec::new();
            while let Some((flags, message)) = frames.next().await.unwrap() {
                seen.push((flags, message));
            }
            let expected = [(0, "one"), (1, ""), (2, "three")].map(|(flags, text)| (flags, Bytes::from(text)));
            assert_eq!(seen, expected, "pieces of {size}");
        }
    }

    #[tokio::test]
    async fn what_is_too_large_or_cut_short_is_refused() {
        for (sent, code) in [
            (framed(0, &[1; 11]), Code::ResourceExhausted),
            (framed(0, &[1; 10]).slice(..9), Code::InvalidArgument),
            (framed(0, &[1; 10]).slice(..3), Code::InvalidArgument),
        ] {
            let status = Frames::new(body(&sent, 4), 10).next().await.unwrap_err();
            assert_eq!(status.code(), code, "{sent:?}");
        }
    }
}
