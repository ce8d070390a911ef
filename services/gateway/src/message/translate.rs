//! Bodies translated message by message, between how a client writes them and how the services do: uncompressed
//! protobuf in frames of gRPC.

use bytes::Bytes;
use flotilla_rpc::RpcError;
use futures::stream::{once, try_unfold, unfold};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::admission::RequestMemory;

use super::frames::{broken, largest, too_large};
use super::{COMPRESSED, Coder, Frames, Packing, framed, pack, unpack};

/// Largest answer that is taken apart.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// How a client's messages are written and packed.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Protobuf or JSON.
    pub coder: Coder,
    /// Their compression.
    pub packing: Packing,
    /// The largest, in bytes, once unpacked.
    pub limit: usize,
    /// Where the arrived bytes are counted.
    pub memory: Option<RequestMemory>,
}

impl Unit {
    fn read(&self, flags: u8, message: Bytes) -> Result<Bytes, Status> {
        let message = match (flags, self.packing) {
            (0, _) => message,
            (COMPRESSED, Packing::Gzip) => unpack(&message, self.limit)?,
            (COMPRESSED, Packing::Identity) => {
                let text = "a message is marked as compressed, but no compression was named";
                return Err(RpcError::new(Code::Internal, "COMPRESSION_UNNAMED", text).into());
            }
            _ => {
                let text = "a message has flags that are not known";
                return Err(RpcError::new(Code::InvalidArgument, "FLAGS_UNKNOWN", text).into());
            }
        };
        self.coder.read(message)
    }
}

/// A body of frames, as the services read it.
pub fn requests(body: Body, unit: Unit) -> Body {
    let messages = try_unfold(
        (Frames::new(body, unit.limit).counted(unit.memory.clone()), unit),
        |(mut frames, unit)| async move {
            let Some((flags, message)) = frames.next().await? else { return Ok::<_, Status>(None) };
            let message = unit.read(flags, message)?;
            Ok(Some((Frame::data(framed(0, &message)), (frames, unit))))
        },
    );
    Body::new(StreamBody::new(messages))
}

/// A body that is one message without a frame, as the services read it.
pub fn one_request(body: Body, unit: Unit) -> Body {
    let message = async move {
        let flags = if unit.packing == Packing::Gzip { COMPRESSED } else { 0 };
        let message = whole(body, largest(flags, unit.limit), &unit).await?;
        // Nothing at all can't have been compressed.
        let flags = if message.is_empty() { 0 } else { flags };
        Ok::<_, Status>(Frame::data(framed(0, &unit.read(flags, message)?)))
    };
    Body::new(StreamBody::new(once(message)))
}

async fn whole(mut body: Body, most: usize, unit: &Unit) -> Result<Bytes, Status> {
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|status| broken(status.into()))?.into_data() else { continue };
        if first.len() + all.len() + data.len() > most {
            return Err(too_large(unit.limit).into());
        }
        if let Some(memory) = &unit.memory {
            memory.grow(data.len())?;
        }
        match (first.is_empty(), all.is_empty()) {
            (true, true) => first = data,
            (_, false) => all.extend_from_slice(&data),
            (false, true) => {
                all.extend_from_slice(&std::mem::take(&mut first));
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// A service's answer, as the client reads it. `end` writes the trailers, which hold the status.
pub fn answers<E>(body: Body, coder: Coder, packing: Packing, end: E) -> Body
where
    E: Fn(HeaderMap) -> Frame<Bytes> + Send + 'static,
{
    if body.is_end_stream() {
        return Body::empty();
    }
    let state = Some((Frames::new(body, MAX_ANSWER), coder, end));
    let frames = unfold(state, move |state| async move {
        let (mut frames, coder, end) = state?;
        let ended = match frames
            .next()
            .await
            .and_then(|next| next.map(|(flags, message)| answer(flags, message, &coder, packing)).transpose())
        {
            Ok(Some(frame)) => return Some((Ok::<_, Status>(frame), Some((frames, coder, end)))),
            Ok(None) => frames.trailers().unwrap_or_default(),
            Err(status) => written(&status),
        };
        Some((Ok(end(ended)), None))
    });
    Body::new(StreamBody::new(frames))
}

fn answer(flags: u8, message: Bytes, coder: &Coder, packing: Packing) -> Result<Frame<Bytes>, Status> {
    if flags != 0 {
        return Err(RpcError::internal().into());
    }
    let message = coder.write(message)?;
    let packed = if packing == Packing::Gzip { pack(&message) } else { None };
    Ok(Frame::data(packed.map_or_else(|| framed(0, &message), |packed| framed(COMPRESSED, &packed))))
}

fn written(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", http::HeaderValue::from_static("13"));
    }
    trailers
}
