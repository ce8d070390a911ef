//! Streaming responses, in one of two formats that the client chooses by `Accept`.
//!
//! Server-sent events (`text/event-stream`, the default): `event: message` carries a response as JSON, with the token
//! to resume from as its id; `event: error` carries problem details; `event: end` means that the stream is complete: a
//! client may close then. JSON lines (`application/x-ndjson` or `application/jsonl`): a response per line; an error is
//! a last line `{"error": ...}` with problem details; an empty line keeps an idle stream open. A client resumes a
//! stream that was interrupted, or that ended with the error `SERVER_DRAINING`, by another request with
//! `Last-Event-ID`, which browsers send automatically.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_rpc::RpcError;
use flotilla_transcode::Answer;
use futures::Stream;
use futures::stream::unfold;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::sleep;
use tonic::Status;
use tonic::body::Body;

use crate::call::{CallBody, refusal};
use crate::edge::Edge;
use crate::end::End;
use crate::media_type::LINES;
use crate::message::MessageReader;
use crate::metrics::Timer;
use crate::problem::Problem;

/// Media type of server-sent events.
const EVENTS: &str = "text/event-stream";
/// How long a client should wait before it resumes, in milliseconds; also sent at once, so that the client sees a
/// response.
const OPENING: &str = "retry: 1000\n\n";
/// The comment that keeps an idle event stream open.
const HEARTBEAT: &str = ": still here\n\n";
/// The event that marks the end.
const END: &str = "event: end\ndata: {}\n\n";

/// The format of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Server-sent events.
    Events,
    /// JSON, one value per line.
    Lines,
}

impl Format {
    /// The format that `Accept` prefers, the first of equals; events if it names none.
    pub fn wanted(headers: &HeaderMap) -> Self {
        let lists = headers.get_all(ACCEPT).iter().filter_map(|list| list.to_str().ok());
        let mut best = (0.0, Self::Events);
        for item in lists.flat_map(|list| list.split(',')) {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters.split(';').find_map(|part| part.trim().strip_prefix("q=")?.parse::<f32>().ok());
            let format = match name.trim().to_ascii_lowercase() {
                name if name == EVENTS => Self::Events,
                name if LINES.contains(&name.as_str()) => Self::Lines,
                _ => continue,
            };
            if weight.unwrap_or(1.0) > best.0 {
                best = (weight.unwrap_or(1.0), format);
            }
        }
        best.1
    }

    /// The headers of a stream, without its body.
    pub fn head(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(if self == Self::Events { EVENTS } else { LINES[0] }));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("accept"));
        // Asks proxies to pass messages on at once.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        response
    }

    fn opening(self) -> &'static str {
        if self == Self::Events { OPENING } else { "" }
    }

    fn heartbeat(self) -> &'static str {
        if self == Self::Events { HEARTBEAT } else { "\n" }
    }

    fn end(self) -> &'static str {
        if self == Self::Events { END } else { "" }
    }

    /// A message. The JSON contains no line break; a token with one would break the event and is omitted.
    fn message(self, answer: Answer<'_>) -> Bytes {
        let mut json = answer.json;
        if self == Self::Lines {
            json.push(b'\n');
            return json.into();
        }
        let token = answer.resume_token.filter(|token| !token.contains(['\n', '\r', '\0']));
        let id = token.map(|token| format!("id: {token}\n")).unwrap_or_default();
        let mut event = format!("{id}event: message\ndata: ").into_bytes();
        event.append(&mut json);
        event.extend_from_slice(b"\n\n");
        event.into()
    }

    fn error(self, document: &[u8]) -> Bytes {
        match self {
            Self::Events => [b"event: error\ndata: ", document, b"\n\n"].concat().into(),
            Self::Lines => [b"{\"error\":", document, b"}\n"].concat().into(),
        }
    }
}

/// A running stream. Its messages hold its slot until they end.
pub struct Answers {
    /// The edge that serves it.
    pub edge: Arc<Edge>,
    /// Which binding it answers.
    pub binding: usize,
    /// Its format.
    pub format: Format,
    /// The service's messages, until it or the gateway ends the stream.
    pub messages: MessageReader<CallBody>,
    /// Sent in errors.
    pub request_id: String,
    /// Records the end.
    pub timer: Timer,
}

/// The state of a stream.
enum State {
    Opening(Answers),
    Open(Answers),
    Ended,
}

impl Answers {
    /// The response; it lasts until the messages end, the client goes away or the gateway drains.
    pub fn into_response(self) -> Response<Body> {
        let mut response = self.format.head();
        *response.body_mut() = Body::new(StreamBody::new(self.into_frames()));
        response
    }

    fn into_frames(self) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
        unfold(State::Opening(self), |state| async move {
            let (text, next) = match state {
                State::Opening(answers) => (Bytes::from(answers.format.opening()), State::Open(answers)),
                State::Open(answers) => answers.next().await,
                State::Ended => return None,
            };
            Some((Ok(Frame::data(text)), next))
        })
    }

    /// The next text to send.
    async fn next(mut self) -> (Bytes, State) {
        let message = tokio::select! {
            biased;
            message = self.messages.next() => message,
            () = sleep(self.edge.limits.heartbeat) => {
                return (Bytes::from(self.format.heartbeat()), State::Open(self));
            }
        };
        match message {
            Ok(Some((0, message))) => match self.edge.routes.binding(self.binding).renderer.render(&message) {
                Ok(answer) => (self.format.message(answer), State::Open(self)),
                Err(error) => {
                    tracing::error!(%error, "message of a stream can't be transcoded");
                    self.failed(RpcError::internal().into())
                }
            },
            Ok(Some(_)) => self.failed(RpcError::internal().into()),
            Ok(None) => match self.messages.trailers().as_ref().and_then(refusal) {
                Some(status) => self.failed(status),
                None => {
                    self.timer.end(End::Http(StatusCode::OK));
                    (Bytes::from(self.format.end()), State::Ended)
                }
            },
            Err(status) => self.failed(status),
        }
    }

    fn failed(self, status: Status) -> (Bytes, State) {
        let problem = Problem::from(status);
        self.timer.end_because(End::Http(problem.status()), Some(problem.reason()));
        (self.format.error(&problem.json(&self.request_id)), State::Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(token: Option<&str>) -> Answer<'_> {
        Answer { json: b"{}".to_vec(), etag: None, resume_token: token }
    }

    #[test]
    fn an_event_carries_its_token_and_its_json() {
        let event = |token| Format::Events.message(answer(token));
        assert_eq!(event(Some("7")), "id: 7\nevent: message\ndata: {}\n\n");
        assert_eq!(event(None), "event: message\ndata: {}\n\n");
        assert_eq!(event(Some("7\ndata: x")), "event: message\ndata: {}\n\n");
    }

    #[test]
    fn a_line_is_the_json_alone_and_an_error_is_marked() {
        assert_eq!(Format::Lines.message(answer(Some("7"))), "{}\n");
        assert_eq!(Format::Lines.error(b"{\"status\":503}"), "{\"error\":{\"status\":503}}\n");
    }

    #[test]
    fn the_client_chooses_the_format() {
        for (accept, format) in [
            ("", Format::Events),
            ("*/*", Format::Events),
            ("text/event-stream", Format::Events),
            ("application/x-ndjson", Format::Lines),
            ("application/jsonl; q=0.9, text/event-stream;q=0.5", Format::Lines),
            ("text/event-stream, application/x-ndjson", Format::Events),
            ("application/json", Format::Events),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Format::wanted(&headers), format, "{accept}");
        }
    }
}
