//! Reads a JSON body: in time, within the limit, decompressed, as UTF-8, and only if its content type is JSON.

use std::pin::{Pin, pin};

use bytes::Bytes;
use flotilla_wire::{Encoding, WireError, gzip};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use http_body::Body;
use tokio::time::{Instant, timeout_at};

use crate::admission::RequestMemory;
use crate::media_type::{LINES, MediaType};
use crate::message::drain;
use crate::problem::Problem;

/// Bytes that are valid UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Bytes);

impl Text {
    /// Text of these bytes.
    ///
    /// # Errors
    /// They aren't UTF-8.
    pub fn new(bytes: Bytes) -> Result<Self, Problem> {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(Self(bytes)),
            Err(error) => {
                let detail = format!("the body is not UTF-8 from byte {}", error.valid_up_to());
                Err(Problem::bad_request("INVALID_UTF8", detail))
            }
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Checked on creation; checking again is cheaper than storing a String beside the bytes.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The body as unparsed JSON text; `None` if there is none.
///
/// # Errors
/// The problem for the client, for example if the body doesn't fit into `memory`.
pub async fn json<B>(
    headers: &HeaderMap,
    body: B,
    limit: usize,
    deadline: Instant,
    memory: Option<&RequestMemory>,
) -> Result<Option<Text>, Problem>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    if body.is_end_stream() {
        return Ok(None);
    }
    let refused = if declared(headers).is_some_and(|length| length > limit as u64) {
        if headers.contains_key(EXPECT) {
            // The client waits for `100 Continue`, doesn't get it, and reads the response.
            return Err(Problem::too_large(limit));
        }
        Problem::too_large(limit)
    } else {
        match timeout_at(deadline, collect(body.as_mut(), limit, memory)).await {
            Err(_) => return Err(Problem::too_slow()),
            Ok(Ok(bytes)) if bytes.is_empty() => return Ok(None),
            Ok(Ok(bytes)) if is_json(headers) => return Text::new(unpacked(headers, bytes, limit)?).map(Some),
            Ok(Ok(_)) => return Err(Problem::media_type("application/json")),
            Ok(Err(problem)) => problem,
        }
    };
    // A client that sends everything before it reads would otherwise see a closed connection instead of the response.
    drain(body).await;
    Err(refused)
}

/// How a body is compressed.
///
/// # Errors
/// If the encoding isn't supported.
pub fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    Encoding::named(headers.get(CONTENT_ENCODING).map(http::HeaderValue::as_bytes)).map_err(|_| Problem::encoding())
}

fn unpacked(headers: &HeaderMap, bytes: Bytes, limit: usize) -> Result<Bytes, Problem> {
    match encoding(headers)? {
        Encoding::Identity => Ok(bytes),
        Encoding::Gzip => gzip::inflate(&bytes, limit).map(Bytes::from).map_err(|error| match error {
            WireError::TooLarge { .. } => Problem::too_large(limit),
            WireError::NotGzip | WireError::Incomplete => not_gzip(),
        }),
    }
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn collect<B>(body: Pin<&mut B>, limit: usize, memory: Option<&RequestMemory>) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
{
    let admit = |before: usize, data: &[u8]| {
        if before + data.len() > limit {
            return Err(Problem::too_large(limit));
        }
        memory.map_or(Ok(()), |memory| memory.grow(data.len()).map_err(Problem::from))
    };
    flotilla_wire::collect(body, admit, |_| broken()).await
}

/// The body is declared as gzip and isn't.
pub fn not_gzip() -> Problem {
    Problem::bad_request("COMPRESSION_BROKEN", "the body is not valid gzip")
}

/// The client aborted the request.
pub fn broken() -> Problem {
    Problem::bad_request("BODY_BROKEN", "the body was cut off")
}

/// Whether the content type is JSON in UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    MediaType::of(headers).is_utf8(|essence| {
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

/// Whether the content type is JSON with one value per line.
pub fn is_lines(headers: &HeaderMap) -> bool {
    MediaType::of(headers).is_utf8(|essence| LINES.contains(&essence))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use http::header::CONTENT_TYPE;
    use http_body_util::Full;

    use super::*;
    use crate::message::MIN_COMPRESSED;

    async fn read(
        headers: &[(&'static str, &'static str)],
        body: impl Into<Bytes>,
    ) -> Result<Option<String>, (u16, String)> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        let deadline = Instant::now() + Duration::from_secs(5);
        super::json(&headers.collect(), Full::new(body.into()), 64, deadline, None)
            .await
            .map(|text| text.map(|text| text.as_str().to_owned()))
            .map_err(|problem| (problem.status().as_u16(), problem.reason().to_owned()))
    }

    #[tokio::test]
    async fn json_is_read_and_no_body_is_none() {
        for content_type in ["application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json"] {
            let read = read(&[("content-type", content_type)], "{\"a\":1}").await;
            assert_eq!(read, Ok(Some("{\"a\":1}".to_owned())), "{content_type}");
        }
        assert_eq!(read(&[], "").await, Ok(None));
    }

    #[tokio::test]
    async fn unreadable_bodies_are_refused_with_a_reason() {
        let json = ("content-type", "application/json");
        let gzip = ("content-encoding", "gzip");
        let bomb = Bytes::from(gzip::deflate(&[b' '; 100_000], MIN_COMPRESSED).unwrap());
        assert!(bomb.len() > 64, "the decompressed size is what is refused: {}", bomb.len());
        let cases: Vec<(Vec<_>, Bytes, u16, &str)> = vec![
            (vec![json], Bytes::from_static(b"{\"a\":\"\xff\"}"), 400, "INVALID_UTF8"),
            (vec![json], vec![b' '; 65].into(), 413, "BODY_TOO_LARGE"),
            (vec![], "{}".into(), 415, "UNSUPPORTED_MEDIA_TYPE"),
            (vec![("content-type", "text/plain")], "{}".into(), 415, "UNSUPPORTED_MEDIA_TYPE"),
            (vec![("content-type", "application/json; charset=latin1")], "{}".into(), 415, "UNSUPPORTED_MEDIA_TYPE"),
            (vec![json, ("content-encoding", "br")], "{}".into(), 415, "UNSUPPORTED_MEDIA_TYPE"),
            (vec![json, gzip], "{}".into(), 400, "COMPRESSION_BROKEN"),
        ];
        for (headers, body, status, reason) in cases {
            assert_eq!(read(&headers, body).await, Err((status, reason.to_owned())), "{headers:?}");
        }
    }

    #[tokio::test]
    async fn a_compressed_body_is_inflated_within_the_limit() {
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CONTENT_ENCODING, HeaderValue::from_static("gzip")),
        ]);
        let packed = Bytes::from(gzip::deflate(&[b' '; 2000], MIN_COMPRESSED).unwrap());
        let deadline = Instant::now() + Duration::from_secs(5);
        let read = |limit| super::json(&headers, Full::new(packed.clone()), limit, deadline, None);
        assert_eq!(read(2000).await.unwrap().unwrap().as_str().len(), 2000);
        assert_eq!(read(1999).await.unwrap_err().reason(), "BODY_TOO_LARGE");
    }
}
