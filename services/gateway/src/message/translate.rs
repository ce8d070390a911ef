//! Translates bodies message by message between the client's form and that of the services: uncompressed,
//! length-prefixed protobuf.

use bytes::Bytes;
use flotilla_rpc::RpcError;
use flotilla_wire::{COMPRESSED, Encoding, WireError, gzip, largest, prefixed};
use futures::stream::{once, try_unfold, unfold};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::admission::RequestMemory;

use super::reader::{MessageReader, broken};
use super::{Coder, MAX_ANSWER, MIN_COMPRESSED};

/// How a client's messages are encoded and compressed.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Protobuf or JSON.
    pub coder: Coder,
    /// Their compression.
    pub encoding: Encoding,
    /// The largest message after decompression, in bytes.
    pub limit: usize,
    /// What the received bytes are counted in.
    pub memory: Option<RequestMemory>,
}

impl Unit {
    fn read(&self, flags: u8, message: Bytes) -> Result<Bytes, Status> {
        let message = match (flags, self.encoding) {
            (0, _) => message,
            (COMPRESSED, Encoding::Gzip) => gzip::inflate(&message, self.limit).map_err(RpcError::from)?.into(),
            (COMPRESSED, Encoding::Identity) => {
                let text = "a message is marked as compressed, but the request names no compression";
                return Err(RpcError::new(Code::Internal, "COMPRESSION_UNNAMED", text).into());
            }
            _ => {
                let text = "a message has unknown flags";
                return Err(RpcError::new(Code::InvalidArgument, "FLAGS_UNKNOWN", text).into());
            }
        };
        self.coder.read(message)
    }
}

/// Translates a body of framed messages for the service.
pub fn requests(body: Body, unit: Unit) -> Body {
    let messages = try_unfold(
        (MessageReader::new(body, unit.limit).counted(unit.memory.clone()), unit),
        |(mut frames, unit)| async move {
            let Some((flags, message)) = frames.next().await? else { return Ok::<_, Status>(None) };
            let message = unit.read(flags, message)?;
            Ok(Some((Frame::data(prefixed(0, &message)), (frames, unit))))
        },
    );
    Body::new(StreamBody::new(messages))
}

/// Translates a body that is one unframed message for the service.
pub fn one_request(body: Body, unit: Unit) -> Body {
    let message = async move {
        let flags = if unit.encoding == Encoding::Gzip { COMPRESSED } else { 0 };
        let message = whole(body, largest(flags, unit.limit), &unit).await?;
        // An empty body isn't compressed.
        let flags = if message.is_empty() { 0 } else { flags };
        Ok::<_, Status>(Frame::data(prefixed(0, &unit.read(flags, message)?)))
    };
    Body::new(StreamBody::new(once(message)))
}

async fn whole(body: Body, most: usize, unit: &Unit) -> Result<Bytes, Status> {
    let admit = |before: usize, data: &[u8]| {
        if before + data.len() > most {
            return Err(RpcError::from(WireError::TooLarge { limit: unit.limit }).into());
        }
        unit.memory.as_ref().map_or(Ok(()), |memory| memory.grow(data.len()).map_err(Status::from))
    };
    flotilla_wire::collect(body, admit, |status| broken(status.into())).await
}

/// Translates a service's response for the client. `end` writes how it ended: trailers with the status, or an error of
/// the gateway's own.
pub fn answers<B, E>(body: B, coder: Coder, encoding: Encoding, end: E) -> Body
where
    B: http_body::Body<Data = Bytes, Error = Status> + Unpin + Send + 'static,
    E: Fn(Result<HeaderMap, Status>) -> Frame<Bytes> + Send + 'static,
{
    if body.is_end_stream() {
        return Body::empty();
    }
    let state = Some((MessageReader::new(body, MAX_ANSWER), coder, end));
    let frames = unfold(state, move |state| async move {
        let (mut messages, coder, end) = state?;
        let next = messages
            .next()
            .await
            .and_then(|next| next.map(|(flags, message)| answer(flags, message, &coder, encoding)).transpose());
        let ended = match next {
            Ok(Some(frame)) => return Some((Ok::<_, Status>(frame), Some((messages, coder, end)))),
            Ok(None) => Ok(messages.trailers().unwrap_or_default()),
            Err(status) => Err(status),
        };
        Some((Ok(end(ended)), None))
    });
    Body::new(StreamBody::new(frames))
}

fn answer(flags: u8, message: Bytes, coder: &Coder, encoding: Encoding) -> Result<Frame<Bytes>, Status> {
    if flags != 0 {
        return Err(RpcError::internal().into());
    }
    let message = coder.write(message)?;
    let packed = if encoding == Encoding::Gzip { gzip::deflate(&message, MIN_COMPRESSED) } else { None };
    Ok(Frame::data(packed.map_or_else(|| prefixed(0, &message), |packed| prefixed(COMPRESSED, &packed))))
}
