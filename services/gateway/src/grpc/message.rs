//! Request bodies of gRPC: messages with a prefix of five bytes. One that is too large is refused by its prefix, before
//! it is gathered in memory.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use flotilla_rpc::RpcError;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tonic::{Code, Status};

/// A flag and the length in four bytes, big endian.
pub const PREFIX: usize = 5;

/// Follows the framing of a body.
#[derive(Debug)]
pub struct Lengths {
    limit: usize,
    prefix: [u8; PREFIX],
    /// Bytes of the prefix seen so far.
    seen: usize,
    /// Bytes of the current message still to come.
    rest: usize,
}

impl Lengths {
    /// Allows messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, prefix: [0; PREFIX], seen: 0, rest: 0 }
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// A message is larger than allowed.
    pub fn pass(&mut self, mut data: &[u8]) -> Result<(), RpcError> {
        while !data.is_empty() {
            let skipped = self.rest.min(data.len());
            self.rest -= skipped;
            data = &data[skipped..];
            let taken = (PREFIX - self.seen).min(data.len());
            self.prefix[self.seen..self.seen + taken].copy_from_slice(&data[..taken]);
            self.seen += taken;
            data = &data[taken..];
            if self.seen == PREFIX {
                let [_, a, b, c, d] = self.prefix;
                self.rest = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
                self.seen = 0;
                if self.rest > self.limit {
                    return Err(too_large(self.limit));
                }
            }
        }
        Ok(())
    }
}

fn too_large(limit: usize) -> RpcError {
    RpcError::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", format!("the message is larger than {limit} bytes"))
        .metadata("limit_bytes", limit.to_string())
}

/// Gathers the one message of a call, prefix included. Mostly it comes in one piece, which is not copied.
///
/// # Errors
/// It is too large, there is more than one, or the client broke off.
pub async fn collect<B>(mut body: B, limit: usize) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut lengths = Lengths::new(limit);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Status::cancelled("the request was broken off"))?;
        let Ok(data) = frame.into_data() else { continue };
        lengths.pass(&data)?;
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
        if all.len() > limit + PREFIX {
            return Err(RpcError::new(Code::InvalidArgument, "ONE_MESSAGE", "the method takes one message").into());
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// The body of a client's stream: each message is checked as it passes.
#[derive(Debug)]
pub struct Limited<B> {
    inner: B,
    lengths: Lengths,
}

impl<B> Limited<B> {
    /// Allows messages of at most `limit` bytes.
    pub fn new(inner: B, limit: usize) -> Self {
        Self { inner, lengths: Lengths::new(limit) }
    }
}

impl<B> Body for Limited<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(frame) => frame.map_err(|error| Status::from_error(error.into()))?,
        };
        if let Some(data) = frame.data_ref() {
            self.lengths.pass(data)?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::StreamBody;

    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        bytes.resize(PREFIX + length, 1);
        bytes
    }

    fn body(bytes: &[u8], size: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin + use<> {
        let frames: Vec<_> = bytes.chunks(size).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
        StreamBody::new(futures::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_message_within_the_limit_is_gathered_however_it_is_cut() {
        let sent = message(100);
        for size in 1..=sent.len() {
            assert_eq!(collect(body(&sent, size), 100).await.unwrap(), sent, "pieces of {size}");
        }
    }

    #[tokio::test]
    async fn a_message_beyond_the_limit_is_refused_by_its_prefix() {
        for size in [1, 3, 5, 6, 1000] {
            let status = collect(body(&message(101)[..6], size), 100).await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
        }
        let many = message(60).repeat(3);
        assert_eq!(collect(body(&many, 50), 100).await.unwrap_err().code(), Code::InvalidArgument);
    }

    #[tokio::test]
    async fn each_message_of_a_stream_is_checked() {
        let sent = [message(10), message(0), message(10)].concat();
        for size in 1..=sent.len() {
            let passed = Limited::new(body(&sent, size), 10).collect().await.unwrap().to_bytes();
            assert_eq!(passed, sent);
            let status = Limited::new(body(&sent, size), 9).collect().await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
        }
    }
}
