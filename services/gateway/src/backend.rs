//! The services behind the gateway: one lazy channel to each, and calls with encoded messages.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use flotilla_rpc::{Channel, ChannelBuilder, ChannelError, ClientMetrics, ClientSettings, RpcError};
use futures::Stream;
use http::HeaderMap;
use tokio::time::{Instant, timeout_at};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::routes::RpcMethod;

/// Largest response that is transcoded.
const MAX_RESPONSE: usize = 16 * 1024 * 1024;
/// When a call that found its service gone should be repeated.
const RETRY: Duration = Duration::from_secs(1);

/// Channels by service name.
#[derive(Debug)]
pub struct Backends(HashMap<&'static str, Channel>);

/// What goes with a call.
#[derive(Debug)]
pub struct CallOptions {
    /// Token, trace and request id.
    pub headers: HeaderMap,
    /// When the caller stops waiting; for streams: for the first answer.
    pub deadline: Instant,
}

impl Backends {
    /// Channels to these services, their calls counted; nothing is connected yet.
    ///
    /// # Errors
    /// An address isn't one.
    pub fn new<'a>(
        addresses: impl Iterator<Item = (&'static str, &'a str)>,
        settings: &ClientSettings,
        metrics: &ClientMetrics,
    ) -> Result<Self, ChannelError> {
        let channel = |url| ChannelBuilder::new(settings).metrics(metrics).connect(url);
        addresses.map(|(name, url)| Ok((name, channel(url)?))).collect::<Result<_, _>>().map(Self)
    }

    /// Each service with its channel.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Channel)> {
        self.0.iter().map(|(name, channel)| (*name, channel))
    }

    /// The channel to a method's service.
    ///
    /// # Errors
    /// `UNIMPLEMENTED` where no such service is configured.
    pub fn channel(&self, method: &RpcMethod) -> Result<Channel, RpcError> {
        self.0.get(method.backend.as_str()).cloned().ok_or_else(|| {
            RpcError::new(Code::Unimplemented, "NO_BACKEND", format!("no service answers for {}", method.name))
        })
    }

    /// Calls a method that answers once.
    ///
    /// # Errors
    /// The service's own status, or why it couldn't be asked.
    pub async fn unary(&self, method: &RpcMethod, message: Bytes, options: CallOptions) -> Result<Bytes, Status> {
        let deadline = options.deadline;
        let mut client = self.client(method)?;
        let call = async {
            client.ready().await.map_err(lost)?;
            let request = request(message, options, true);
            client.unary(request, method.path.clone(), RawCodec).await.map_err(settle)
        };
        Ok(timeout_at(deadline, call).await.map_err(|_| exceeded())??.into_inner())
    }

    /// Calls a method that answers with a stream. Waits for its beginning, at most until the deadline.
    ///
    /// # Errors
    /// As [`unary`](Self::unary); errors after the beginning are in the stream.
    pub async fn stream(
        &self,
        method: &RpcMethod,
        message: Bytes,
        options: CallOptions,
    ) -> Result<Streaming<Bytes>, Status> {
        let deadline = options.deadline;
        let mut client = self.client(method)?;
        let call = async {
            client.ready().await.map_err(lost)?;
            let request = request(message, options, false);
            client.server_streaming(request, method.path.clone(), RawCodec).await.map_err(settle)
        };
        Ok(timeout_at(deadline, call).await.map_err(|_| exceeded())??.into_inner())
    }

    /// Calls a method that takes a stream, and waits for its answer: without a deadline, which is the caller's to have.
    /// `None` breaks the stream off with an error: a call that is only dropped may look to the service like an end.
    ///
    /// # Errors
    /// As [`unary`](Self::unary).
    pub async fn upload<S>(&self, method: &RpcMethod, messages: S, headers: HeaderMap) -> Result<Bytes, Status>
    where
        S: Stream<Item = Option<Bytes>> + Send + 'static,
    {
        let mut client = self.client(method)?;
        client.ready().await.map_err(lost)?;
        let mut request = tonic::Request::new(messages);
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        Ok(client.client_streaming(request, method.path.clone(), UploadCodec).await.map_err(settle)?.into_inner())
    }

    fn client(&self, method: &RpcMethod) -> Result<Grpc<Channel>, Status> {
        Ok(Grpc::new(self.channel(method)?).max_decoding_message_size(MAX_RESPONSE))
    }
}

fn request(message: Bytes, options: CallOptions, timed: bool) -> tonic::Request<Bytes> {
    let mut request = tonic::Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(options.headers);
    if timed {
        request.set_timeout(options.deadline.saturating_duration_since(Instant::now()));
    }
    request
}

/// `DEADLINE_EXCEEDED`.
pub fn exceeded() -> RpcError {
    RpcError::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline has passed")
}

/// `UNAVAILABLE` for a connection that can't be had or has gone; the cause is logged and not told.
pub fn lost(cause: impl std::fmt::Display) -> RpcError {
    tracing::debug!(%cause, "service can't be reached");
    RpcError::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "the service can't be reached at the moment")
        .retry_after(RETRY)
}

/// Tells the service's own status from what the transport made up on the way: only the latter has a source.
pub fn settle(status: Status) -> Status {
    if std::error::Error::source(&status).is_none() {
        return status;
    }
    // The channel calls its own timeout a cancellation.
    if status.code() == Code::Cancelled && status.message().contains("Timeout expired") {
        return exceeded().into();
    }
    lost(status.message()).into()
}

/// Passes encoded messages through.
#[derive(Debug, Clone, Copy, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

/// Passes encoded messages through until the stream is broken off.
#[derive(Debug, Clone, Copy, Default)]
struct UploadCodec;

impl Codec for UploadCodec {
    type Encode = Option<Bytes>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = RawCodec;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> RawCodec {
        RawCodec
    }
}

impl Encoder for UploadCodec {
    type Item = Option<Bytes>;
    type Error = Status;

    fn encode(&mut self, item: Option<Bytes>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item.ok_or_else(|| Status::aborted("the upload was broken off"))?);
        Ok(())
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_the_service_is_kept_and_one_of_the_transport_is_unavailable() {
        let own = settle(Status::not_found("no such order"));
        assert_eq!((own.code(), own.message()), (Code::NotFound, "no such order"));
        let broken = settle(Status::from_error(Box::new(std::io::Error::other("reset at 10.0.0.7"))));
        assert_eq!(broken.code(), Code::Unavailable);
        assert!(!broken.message().contains("10.0.0.7"));
    }
}
