//! Collects a body.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;

/// All data of a body. It usually comes in one piece, which isn't copied. `admit` decides on each piece before it is
/// kept, given how many bytes were kept before; `broken` maps an error of the body.
///
/// # Errors
/// The error that `admit` or `broken` returns.
pub async fn collect<B, E>(
    mut body: B,
    mut admit: impl FnMut(usize, &[u8]) -> Result<(), E>,
    broken: impl FnOnce(B::Error) -> E,
) -> Result<Bytes, E>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let data = match frame {
            Ok(frame) => frame.into_data(),
            Err(error) => return Err(broken(error)),
        };
        let Ok(data) = data else { continue };
        admit(first.len() + all.len(), &data)?;
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        all.extend_from_slice(&std::mem::take(&mut first));
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http::HeaderMap;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn body(pieces: &[Result<&'static str, &'static str>]) -> impl Body<Data = Bytes, Error = &'static str> + Unpin {
        let data = pieces.iter().map(|piece| piece.map(|text| Frame::data(Bytes::from_static(text.as_bytes()))));
        let frames: Vec<_> = data.chain([Ok(Frame::trailers(HeaderMap::new()))]).collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn pieces_are_joined_and_a_single_one_is_not_copied() {
        let all = |pieces| collect(body(pieces), |_, _| Ok(()), |error| error);
        assert_eq!(all(&[]).await.unwrap(), "");
        assert_eq!(all(&[Ok("one"), Ok(""), Ok("two"), Ok("three")]).await.unwrap(), "onetwothree");
        static ALONE: &str = "alone";
        assert_eq!(all(&[Ok(ALONE)]).await.unwrap().as_ptr(), ALONE.as_ptr());
    }

    #[tokio::test]
    async fn a_refused_piece_or_an_error_ends_the_collection() {
        let bounded = |before: usize, data: &[u8]| if before + data.len() > 5 { Err("too large") } else { Ok(()) };
        let all = |pieces| collect(body(pieces), bounded, |error| error);
        assert_eq!(all(&[Ok("abc"), Ok("de")]).await.unwrap(), "abcde");
        assert_eq!(all(&[Ok("abc"), Ok("def")]).await.unwrap_err(), "too large");
        assert_eq!(all(&[Ok("abcdef")]).await.unwrap_err(), "too large");
        assert_eq!(all(&[Ok("abc"), Err("gone")]).await.unwrap_err(), "gone");
    }
}
