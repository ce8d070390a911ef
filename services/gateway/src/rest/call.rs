//! A request with a binding: its message is built from path, query, headers and body, the call takes the same steps as
//! in every protocol, and the response is written as JSON.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_rpc::RpcError;
use flotilla_wire::prefixed;
use http::header::{CONTENT_TYPE, TE};
use http::request::Parts;
use http::{Extensions, HeaderName, HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic::body::Body;

use super::lines::Lines;
use super::request::{self, Headers, Input};
use super::stream::{Answers, Format};
use super::upload::{Source, UploadHeaders};
use super::{body, deadline, text};
use crate::admission::RequestMemory;
use crate::call::{Call, CallDeadline, ReadyCall, shutting_down};
use crate::media_type::LINES;
use crate::message::{MAX_ANSWER, MessageReader};
use crate::metrics::Timer;
use crate::problem::Problem;
use crate::reply;
use crate::request_id;
use crate::routes::{Binding, Path};
use crate::trace;

/// Maximum time to notify a service that an upload was aborted.
const ABORT_GRACE: Duration = Duration::from_millis(500);

/// The request.
pub struct RestCall<'a> {
    /// The call to make.
    pub call: &'a Call<'a>,
    /// The binding that matched.
    pub binding: &'a Binding,
    /// The binding's index in the route table.
    pub index: usize,
    /// The request's head.
    pub parts: &'a Parts,
    /// The request's path.
    pub path: &'a Path<'a>,
}

impl<'a> RestCall<'a> {
    /// Makes a unary call.
    pub async fn unary(&self, head: Parts, body: Incoming) -> Result<Response<Body>, Problem> {
        let deadline = CallDeadline { sends_deadline: true, ..self.deadline()? };
        let mut ready = self.ready(head, body, deadline).await?;
        if let Some(kept) = ready.kept().await
            && let Ok(response) = self.respond(&kept)
        {
            return Ok(response);
        }
        self.respond(&ready.message(deadline).await?)
    }

    /// Makes a client-streaming call.
    pub async fn upload(&self, head: Parts, body: Incoming) -> Result<Response<Body>, Problem> {
        let (edge, headers) = (self.call.edge, &self.parts.headers);
        let idle_timeout = deadline::requested(headers, edge.limits.deadline)?;
        let admitted = self.call.admit(head).await?;
        if !body::is_lines(headers) {
            return Err(Problem::media_type(LINES[0]));
        }
        let lines = Lines::new(body, body::encoding(headers)?, edge.limits.max_body);
        let given = self.given()?;
        let kept = UploadHeaders {
            idempotency_key: given.idempotency_key.map(str::to_owned),
            if_match: given.if_match.map(str::to_owned),
            last_event_id: given.last_event_id.map(str::to_owned),
        };
        let (source, watch) = Source::new(edge, self.index, self.path, self.query(), kept, lines);
        let mut uploading = pin!(async { admitted.stream(source.into_body(), None).await?.whole().await.message });
        tokio::select! {
            biased;
            () = edge.draining.cancelled() => Err(shutting_down().into()),
            problem = watch.broken(idle_timeout) => {
                // The service is notified; whether it answers in time doesn't matter.
                let _ = timeout(ABORT_GRACE, uploading.as_mut()).await;
                Err(problem)
            }
            answer = uploading.as_mut() => self.respond(&answer?),
        }
    }

    /// Makes a server-streaming call. The stream takes the timer.
    pub async fn stream(
        &self,
        head: Parts,
        body: Incoming,
        timer: Timer,
    ) -> (Option<Timer>, Result<Response<Body>, Problem>) {
        let format = Format::wanted(&self.parts.headers);
        let opened = async {
            let deadline = self.deadline()?;
            let ready = self.ready(head, body, deadline).await?;
            if self.parts.method == Method::HEAD {
                return Ok(None);
            }
            Ok::<_, Problem>(Some(ready.send(deadline).await?.begun()?))
        };
        match opened.await {
            Ok(Some(response)) => {
                let request_id = self.call.id.to_str().unwrap_or_default().to_owned();
                let (edge, binding) = (Arc::clone(self.call.edge), self.index);
                let messages = MessageReader::new(response.into_body(), MAX_ANSWER);
                let answers = Answers { edge, binding, format, messages, request_id, timer };
                (None, Ok(answers.into_response()))
            }
            Ok(None) => (Some(timer), Ok(format.head())),
            Err(problem) => (Some(timer), Err(problem)),
        }
    }

    /// Takes the steps up to the slot of a call with one request message.
    async fn ready(&self, head: Parts, body: Incoming, deadline: CallDeadline) -> Result<ReadyCall<'a>, Problem> {
        let admitted = self.call.admit(head).await?;
        let received = admitted.receive(self.message(body, deadline.until, admitted.memory())).await?;
        Ok(admitted.take_slot(received).await?)
    }

    fn deadline(&self) -> Result<CallDeadline, Problem> {
        let timeout = deadline::requested(&self.parts.headers, self.call.edge.limits.deadline)?;
        Ok(CallDeadline { until: Instant::now() + timeout, end: None, sends_deadline: false })
    }

    fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// The request's message, behind its prefix.
    async fn message(&self, body: Incoming, until: Instant, memory: Option<&RequestMemory>) -> Result<Bytes, Problem> {
        let (edge, headers) = (self.call.edge, &self.parts.headers);
        let body = body::json(headers, body, edge.limits.max_body, until, memory).await?;
        let (segments, query, headers) = (&self.path.segments, self.query(), self.given()?);
        let input = Input { segments, query, headers, body: body.as_ref().map(body::Text::as_str) };
        let message = request::message(edge.routes.schema(), self.binding, input)?;
        if let Some(memory) = memory {
            memory.grow(message.len())?;
        }
        Ok(prefixed(0, &message))
    }

    fn given(&self) -> Result<Headers<'_>, Problem> {
        let headers = &self.parts.headers;
        Ok(Headers {
            idempotency_key: text(headers, "idempotency-key")?.map(unquoted),
            if_match: text(headers, "if-match")?,
            last_event_id: text(headers, "last-event-id")?,
            event_stream: self.binding.method.server_streaming && Format::wanted(headers) == Format::Events,
        })
    }

    /// The head with which the call is forwarded by gRPC: only the token, the trace and the request's id are passed on.
    pub fn head(&self, known: Extensions) -> Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = Method::POST;
        head.uri = Uri::from(self.binding.method.path.clone());
        head.extensions = known;
        for name in FORWARDED_HEADERS.iter().chain(&trace::B3) {
            if let Some(value) = self.parts.headers.get(name) {
                head.headers.insert(name, value.clone());
            }
        }
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
        head
    }

    fn respond(&self, message: &[u8]) -> Result<Response<Body>, Problem> {
        let answer = self.binding.renderer.render(message).map_err(|error| {
            tracing::error!(%error, method = self.binding.method.name, "response can't be transcoded");
            Problem::from(Status::from(RpcError::internal()))
        })?;
        Ok(reply::answer(&self.parts.method, &self.parts.headers, answer))
    }
}

/// Headers that reach the service, beside B3's, from which its trace is made.
const FORWARDED_HEADERS: [HeaderName; 4] =
    [http::header::AUTHORIZATION, trace::TRACEPARENT, trace::TRACESTATE, request_id::HEADER];

/// The IETF draft writes the key as a quoted string; most clients don't.
fn unquoted(key: &str) -> &str {
    key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        assert_eq!(unquoted("\"k-1\""), "k-1");
        assert_eq!(unquoted("k-1"), "k-1");
        assert_eq!(unquoted("\""), "\"");
    }
}
