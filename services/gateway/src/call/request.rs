//! Request bodies on their way to a service, checked by the prefixes of their messages and not decoded: one that is too
//! large is refused before it is gathered in memory, and a call of a unary method has one message, neither less nor
//! more.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flotilla_rpc::RpcError;
use flotilla_wire::Lengths;
use http_body::{Body, Frame, SizeHint};
use tonic::{Code, Status};

use crate::admission::RequestMemory;
use crate::message::{Fault, broken};

/// gRPC's error for more or fewer messages than the method takes.
fn not_one() -> RpcError {
    RpcError::new(Code::Unimplemented, "ONE_MESSAGE", "the method takes one message")
}

/// `DEADLINE_EXCEEDED` for a request that didn't arrive in time, which is the client's fault.
pub fn late_body() -> RpcError {
    RpcError::new(Code::DeadlineExceeded, "BODY_TIMEOUT", "the request did not arrive in time")
}

/// Collects the single message of a call, with its prefix. It usually comes in one piece, which isn't copied.
///
/// # Errors
/// If the message is too large, incomplete or missing, if there is more than one, if it doesn't fit into `memory`, or
/// if the client cancelled.
pub async fn collect<B>(body: B, limit: usize, memory: Option<&RequestMemory>) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut lengths = Lengths::new(limit);
    let admit = |_, data: &[u8]| {
        lengths.pass(data).map_err(RpcError::from)?;
        if lengths.messages() > 1 {
            return Err(not_one().into());
        }
        memory.map_or(Ok(()), |memory| memory.grow(data.len()).map_err(Status::from))
    };
    let message = flotilla_wire::collect(body, admit, |error| broken(error.into())).await?;
    lengths.end().map_err(RpcError::from)?;
    if lengths.messages() == 0 {
        return Err(not_one().into());
    }
    Ok(message)
}

/// The body of a client's stream: each message is checked as it passes, and the first fault is recorded.
#[derive(Debug)]
pub struct Checked<B> {
    inner: B,
    lengths: Lengths,
    fault: Fault,
}

impl<B> Checked<B> {
    /// Allows messages of at most `limit` bytes.
    pub fn new(inner: B, limit: usize, fault: Fault) -> Self {
        Self { inner, lengths: Lengths::new(limit), fault }
    }

    fn broken(&self, status: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.fault.note(status.clone());
        Poll::Ready(Some(Err(status)))
    }
}

impl<B> Body for Checked<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            None => {
                return match self.lengths.end() {
                    Ok(()) => Poll::Ready(None),
                    Err(error) => self.broken(RpcError::from(error).into()),
                };
            }
            Some(Err(error)) => return self.broken(broken(error.into())),
            Some(Ok(frame)) => frame,
        };
        match frame.data_ref().map(|data| self.lengths.pass(data)) {
            Some(Err(error)) => self.broken(RpcError::from(error).into()),
            Some(Ok(())) => Poll::Ready(Some(Ok(frame))),
            // A client's trailers mean nothing to gRPC.
            None => Poll::Ready(Some(Ok(Frame::data(Bytes::new())))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use flotilla_wire::prefixed;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn message(length: usize) -> Vec<u8> {
        prefixed(0, &vec![1; length]).to_vec()
    }

    fn body(bytes: &[u8], size: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin + use<> {
        let frames: Vec<_> = bytes.chunks(size).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
        StreamBody::new(futures::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_message_within_the_limit_is_collected_however_it_is_split() {
        let sent = message(100);
        for size in 1..=sent.len() {
            assert_eq!(collect(body(&sent, size), 100, None).await.unwrap(), sent, "pieces of {size}");
        }
    }

    #[tokio::test]
    async fn a_message_beyond_the_limit_is_refused_by_its_prefix() {
        for size in [1, 3, 5, 6, 1000] {
            let status = collect(body(&message(101)[..6], size), 100, None).await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
        }
    }

    #[tokio::test]
    async fn a_unary_call_has_one_complete_message() {
        for (sent, code) in [
            (message(60).repeat(2), Code::Unimplemented),
            (Vec::new(), Code::Unimplemented),
            (message(60)[..50].to_vec(), Code::InvalidArgument),
            (message(60)[..3].to_vec(), Code::InvalidArgument),
        ] {
            assert_eq!(collect(body(&sent, 50), 100, None).await.unwrap_err().code(), code, "{sent:?}");
        }
    }

    #[tokio::test]
    async fn each_message_of_a_stream_is_checked_and_its_fault_is_recorded() {
        let sent = [message(10), message(0), message(10)].concat();
        let checked = |sent: &[u8], size, limit, fault: &Fault| Checked::new(body(sent, size), limit, fault.clone());
        for size in 1..=sent.len() {
            let fault = Fault::default();
            assert_eq!(checked(&sent, size, 10, &fault).collect().await.unwrap().to_bytes(), sent);
            assert!(fault.get().is_none());
            let status = checked(&sent, size, 9, &fault).collect().await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert_eq!(fault.get().unwrap().code(), Code::ResourceExhausted);
            let short = Fault::default();
            checked(&sent[..22], size, 10, &short).collect().await.unwrap_err();
            assert_eq!(short.get().unwrap().code(), Code::InvalidArgument);
        }
    }
}
