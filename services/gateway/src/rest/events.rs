//! Server-sent events: each message of a stream with the token to resume from as its id.
//!
//! `event: message` carries a response as JSON, `event: error` problem details, `event: end` says that there is nothing
//! more to come: a client may close then. A stream that ends without it (a drain, a lost connection) is to be resumed
//! by another request with `Last-Event-ID`, which browsers send by themselves.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_rpc::RpcError;
use futures::Stream;
use futures::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::sleep;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::Streaming;

use crate::backend::settle;
use crate::edge::{Edge, Place};
use crate::metrics::Timer;
use crate::problem::Problem;
use crate::transcode::Answer;

/// How long a client should wait before it resumes, in milliseconds; also a first sign of life.
const OPENING: &str = "retry: 1000\n\n";
/// What keeps an idle stream open.
const HEARTBEAT: &str = ": still here\n\n";
/// Nothing more to come.
const END: &str = "event: end\ndata: {}\n\n";

/// A stream of events under way. Holds its place until it is dropped.
pub struct Events {
    /// The edge that serves it.
    pub edge: Arc<Edge>,
    /// Which binding it answers.
    pub binding: usize,
    /// What the service sends.
    pub messages: Streaming<Bytes>,
    /// Told in errors.
    pub request_id: String,
    /// Counts the end.
    pub timer: Timer,
    /// Its place among the streams.
    #[expect(dead_code, reason = "given back when the stream ends")]
    pub place: Place,
}

/// How far a stream has come.
enum State {
    Opening(Events),
    Open(Events),
    Ended,
}

/// The headers of an event stream, without events.
pub fn head() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Asks proxies to pass events on at once.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

impl Events {
    /// The response that goes on for as long as messages come, the client stays and the gateway doesn't drain.
    pub fn into_response(self) -> Response<Body> {
        let mut response = head();
        *response.body_mut() = Body::new(StreamBody::new(self.into_frames()));
        response
    }

    fn into_frames(self) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
        unfold(State::Opening(self), |state| async move {
            let (text, next) = match state {
                State::Opening(events) => (OPENING.to_owned(), State::Open(events)),
                State::Open(events) => events.next().await?,
                State::Ended => return None,
            };
            Some((Ok(Frame::data(Bytes::from(text))), next))
        })
    }

    /// The next text to send; `None` when the gateway drains.
    async fn next(mut self) -> Option<(String, State)> {
        let message = tokio::select! {
            biased;
            () = self.edge.draining.cancelled() => None,
            message = self.messages.message() => Some(message),
            () = sleep(self.edge.limits.heartbeat) => return Some((HEARTBEAT.to_owned(), State::Open(self))),
        };
        match message {
            None => {
                self.timer.end("200");
                None
            }
            Some(Ok(Some(message))) => match self.edge.routes.binding(self.binding).renderer.render(&message) {
                Ok(answer) => Some((event(answer), State::Open(self))),
                Err(error) => {
                    tracing::error!(%error, "message of a stream can't be transcoded");
                    Some(self.failed(RpcError::internal().into()))
                }
            },
            Some(Ok(None)) => {
                self.timer.end("200");
                Some((END.to_owned(), State::Ended))
            }
            Some(Err(status)) => Some(self.failed(settle(status))),
        }
    }

    fn failed(self, status: Status) -> (String, State) {
        let problem = Problem::from(status);
        self.timer.end(problem.status().as_str());
        let document = String::from_utf8(problem.json(&self.request_id)).unwrap_or_default();
        (format!("event: error\ndata: {document}\n\n"), State::Ended)
    }
}

/// A message as an event. JSON holds no line break, and a token with one would be two lines: it is left out.
fn event(answer: Answer) -> String {
    let json = String::from_utf8(answer.json).unwrap_or_default();
    match answer.resume_token.filter(|token| !token.contains(['\n', '\r', '\0'])) {
        Some(token) => format!("id: {token}\nevent: message\ndata: {json}\n\n"),
        None => format!("event: message\ndata: {json}\n\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_carries_its_token_and_its_json() {
        let answer =
            |token: Option<&str>| Answer { json: b"{}".to_vec(), etag: None, resume_token: token.map(str::to_owned) };
        assert_eq!(event(answer(Some("7"))), "id: 7\nevent: message\ndata: {}\n\n");
        assert_eq!(event(answer(None)), "event: message\ndata: {}\n\n");
        assert_eq!(event(answer(Some("7\ndata: x"))), "event: message\ndata: {}\n\n");
    }
}
