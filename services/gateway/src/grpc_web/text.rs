//! Bodies in base64, as browsers without binary streams write and read them. Each piece may have its own padding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use flotilla_rpc::RpcError;
use futures::stream::try_unfold;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tonic::body::Body;
use tonic::{Code, Status};

/// Characters that stand for three bytes.
const QUANTUM: usize = 4;

/// A piece in base64.
pub fn encoded(data: &[u8]) -> Bytes {
    STANDARD.encode(data).into()
}

/// The bytes of a body in base64.
pub fn decoded(body: Body) -> Body {
    let pieces = try_unfold((body, BytesMut::new()), |(mut body, mut rest)| async move {
        loop {
            let Some(frame) = body.frame().await else {
                return if rest.is_empty() { Ok(None) } else { Err(broken()) };
            };
            let Ok(data) = frame?.into_data() else { continue };
            rest.extend_from_slice(&data);
            let whole = rest.split_to(rest.len() / QUANTUM * QUANTUM);
            if !whole.is_empty() {
                return Ok::<_, Status>(Some((Frame::data(decode(&whole)?), (body, rest))));
            }
        }
    });
    Body::new(StreamBody::new(pieces))
}

/// Decodes whole quanta; padding may end any of them.
fn decode(mut text: &[u8]) -> Result<Bytes, Status> {
    let mut data = Vec::with_capacity(text.len() / QUANTUM * 3);
    while !text.is_empty() {
        let end = text.iter().position(|byte| *byte == b'=').map_or(text.len(), |at| (at / QUANTUM + 1) * QUANTUM);
        let (padded, rest) = text.split_at(end);
        STANDARD.decode_vec(padded, &mut data).map_err(|_| broken())?;
        text = rest;
    }
    Ok(data.into())
}

fn broken() -> Status {
    RpcError::new(Code::InvalidArgument, "BASE64_BROKEN", "the request is not base64").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str, size: usize) -> Result<Bytes, Status> {
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(size)
            .map(|piece| Ok::<_, Status>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let body = Body::new(StreamBody::new(futures::stream::iter(pieces)));
        Ok(decoded(body).collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn text_is_decoded_however_it_is_split_and_padded() {
        let text = [encoded(b"a"), encoded(b"bcd"), encoded(b"ef")]
            .map(|piece| String::from_utf8(piece.to_vec()).unwrap())
            .concat();
        for size in 1..=text.len() {
            assert_eq!(read(&text, size).await.unwrap(), "abcdef", "pieces of {size}");
        }
    }

    #[tokio::test]
    async fn invalid_base64_is_refused() {
        for text in ["a", "a===", "!!!!", "YWJj*"] {
            assert_eq!(read(text, 3).await.unwrap_err().code(), Code::InvalidArgument, "{text}");
        }
    }
}
