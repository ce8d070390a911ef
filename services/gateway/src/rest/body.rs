//! Reads a JSON body: in time, within the limit, as UTF-8, and only where it says that it is JSON.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body::Body;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use crate::problem::Problem;

/// How much of a body that is refused is still read, and for how long: clients that first send everything would
/// otherwise see a broken connection instead of the answer.
const DRAINED: usize = 16 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// The body as JSON; `None` if there is none.
///
/// # Errors
/// The problem, to be told to the client.
pub async fn json<B>(headers: &HeaderMap, body: B, limit: usize, deadline: Instant) -> Result<Option<Value>, Problem>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    if body.is_end_stream() {
        return Ok(None);
    }
    let refused = if declared(headers).is_some_and(|length| length > limit as u64) {
        if headers.contains_key(EXPECT) {
            // It waits for leave to send, doesn't get it, and hears the answer.
            return Err(Problem::too_large(limit));
        }
        Problem::too_large(limit)
    } else {
        match timeout_at(deadline, collect(body.as_mut(), limit)).await {
            Err(_) => return Err(Problem::too_slow()),
            Ok(Ok(bytes)) if bytes.is_empty() => return Ok(None),
            Ok(Ok(bytes)) if is_json(headers) => return parse(&bytes).map(Some),
            Ok(Ok(_)) => return Err(Problem::media_type()),
            Ok(Err(problem)) => problem,
        }
    };
    // Late or broken off: the answer is the same.
    let _ = timeout(DRAIN_TIME, drain(body)).await;
    Err(refused)
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn collect<B>(mut body: std::pin::Pin<&mut B>, limit: usize) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
{
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |_| Problem::bad_request("BODY_BROKEN", "the body was broken off");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if all.len() + data.len() > limit {
            return Err(Problem::too_large(limit));
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

async fn drain<B>(mut body: std::pin::Pin<&mut B>)
where
    B: Body<Data = Bytes>,
{
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > DRAINED {
            return;
        }
    }
}

/// Whether the content type is JSON, in UTF-8 where it says so.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    json && parts.filter_map(|part| part.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let detail = format!("the body is not UTF-8 from byte {}", error.valid_up_to());
        Problem::bad_request("INVALID_UTF8", detail)
    })?;
    serde_json::from_str(text)
        .map_err(|error| Problem::bad_request("MALFORMED_JSON", format!("the body is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::Full;
    use serde_json::json;

    use super::*;

    async fn read(content_type: Option<&'static str>, body: &'static [u8]) -> Result<Option<Value>, (u16, String)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        super::json(&headers, Full::new(Bytes::from_static(body)), 64, deadline)
            .await
            .map_err(|problem| (problem.status().as_u16(), problem.reason().to_owned()))
    }

    #[tokio::test]
    async fn json_is_read_and_no_body_is_none() {
        for content_type in ["application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json"] {
            assert_eq!(read(Some(content_type), b"{\"a\":1}").await, Ok(Some(json!({"a": 1}))), "{content_type}");
        }
        assert_eq!(read(None, b"").await, Ok(None));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_refused_with_its_reason() {
        let json = Some("application/json");
        for (content_type, body, status, reason) in [
            (json, &b"{\"a\":"[..], 400, "MALFORMED_JSON"),
            (json, b"{\"a\":1} x", 400, "MALFORMED_JSON"),
            (json, b"{\"a\":\"\xff\"}", 400, "INVALID_UTF8"),
            (json, &[b' '; 65], 413, "BODY_TOO_LARGE"),
            (None, b"{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
            (Some("text/plain"), b"{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
            (Some("application/json; charset=latin1"), b"{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ] {
            assert_eq!(read(content_type, body).await, Err((status, reason.to_owned())));
        }
    }

    #[test]
    fn malformed_json_is_told_with_its_place() {
        let told = String::from_utf8(parse(b"{\n \"a\": nope}").unwrap_err().json("r")).unwrap();
        assert!(told.contains("line 2 column"), "{told}");
    }
}
