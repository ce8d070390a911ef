//! A request that has found its binding: admitted, given a place, read, passed on and answered.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic::body::Body;
use uuid::Uuid;

use super::lines::Lines;
use super::request::{self, Headers, Input};
use super::stream::{Answers, Format};
use super::upload::{Kept, Source};
use super::{body, deadline, reply, text};
use crate::admission::{Client, RequestMemory};
use crate::backend::CallOptions;
use crate::client_address;
use crate::edge::{Edge, address};
use crate::grpc::shutting_down;
use crate::metrics::Timer;
use crate::problem::Problem;
use crate::request_id;
use crate::routes::{Binding, Path};
use crate::trace;

/// How long it may take to tell a service that an upload is broken off.
const BREAK: Duration = Duration::from_millis(500);

/// The request.
pub struct Call<'a> {
    /// The edge that answers.
    pub edge: &'a Arc<Edge>,
    /// What it has found.
    pub binding: &'a Binding,
    /// The binding's place in the table.
    pub index: usize,
    /// Its head.
    pub parts: &'a Parts,
    /// Its path.
    pub path: &'a Path<'a>,
}

impl Call<'_> {
    /// One message each way.
    pub async fn unary(&self, body: Incoming) -> Result<Response<Body>, Problem> {
        let (edge, method) = (self.edge, &self.binding.method);
        let user = edge.admit(method.access, &self.parts.headers).await?;
        let deadline = self.deadline()?;
        let request = self.message(body, deadline).await?;
        let client = self.client(user);
        let _place = edge.admission.call(client).await?;
        if let Some(memory) = self.memory() {
            memory.expect(method.answers.expected())?;
        }
        let read_key = edge.cache.read_key(method, &request);
        if let Some(key) = &read_key
            && let Some(kept) = edge.cache.get(key).await
            && let Ok(response) = self.respond(&kept)
        {
            return Ok(response);
        }
        let stale_key = edge.cache.stale_key(method, &request);
        let options = CallOptions { headers: self.headers(), deadline };
        let answering = edge.backends.unary(method, request, options);
        let answer = edge.admission.in_turn(client, &method.backend, deadline, answering).await;
        if let Some(key) = stale_key {
            // Whatever the answer says: a call that timed out may still have done its work.
            edge.cache.forget(&key).await;
        }
        let answer = answer?;
        method.answers.note(answer.len());
        if let Some(key) = read_key {
            edge.cache.put(&key, answer.clone()).await;
        }
        self.respond(&answer)
    }

    /// A stream of messages to the service, and its one answer.
    pub async fn upload(&self, body: Incoming) -> Result<Response<Body>, Problem> {
        let (edge, method, headers) = (self.edge, &self.binding.method, &self.parts.headers);
        let user = edge.admit(method.access, headers).await?;
        let _place = edge.admission.stream(self.client(user), None).await?;
        if let Some(memory) = self.memory() {
            memory.grow(edge.limits.stream_window)?;
        }
        let patience = deadline::asked(headers, edge.limits.deadline)?;
        if !body::is_lines(headers) {
            return Err(Problem::media_type(body::LINES[0]));
        }
        let lines = Lines::new(body, body::encoding(headers)?, edge.limits.max_body);
        let given = self.given()?;
        let kept = Kept {
            idempotency_key: given.idempotency_key.map(str::to_owned),
            if_match: given.if_match.map(str::to_owned),
            last_event_id: given.last_event_id.map(str::to_owned),
        };
        let (source, watch) = Source::new(edge, self.index, self.path, self.query(), kept, lines);
        let mut uploading = pin!(edge.backends.upload(method, source.into_stream(), self.headers()));
        tokio::select! {
            biased;
            () = edge.draining.cancelled() => Err(shutting_down().into()),
            problem = watch.broken(patience) => {
                // The service is to hear of it; whether it answers in time doesn't matter.
                let _ = timeout(BREAK, uploading.as_mut()).await;
                Err(problem)
            }
            answer = uploading.as_mut() => self.respond(&answer?),
        }
    }

    /// One message to the service, and its stream of answers. The timer goes with the stream.
    pub async fn stream(
        &self,
        body: Incoming,
        timer: Timer,
        id: &HeaderValue,
    ) -> (Option<Timer>, Result<Response<Body>, Problem>) {
        let (edge, method) = (self.edge, &self.binding.method);
        let format = Format::wanted(&self.parts.headers);
        let opened = async {
            let user = edge.admit(method.access, &self.parts.headers).await?;
            let deadline = self.deadline()?;
            let request = self.message(body, deadline).await?;
            let watched = method.watched(&request);
            let client = self.client(user);
            let place = edge.admission.stream(client, Some((&method.name, &watched))).await?;
            if self.parts.method == Method::HEAD {
                return Ok(None);
            }
            let options = CallOptions { headers: self.headers(), deadline };
            let answering = edge.backends.stream(method, request, options);
            let stream = edge.admission.in_turn(client, &method.backend, deadline, answering).await?;
            Ok::<_, Problem>(Some((place, stream)))
        };
        match opened.await {
            Ok(Some((place, messages))) => {
                let request_id = id.to_str().unwrap_or_default().to_owned();
                let (edge, binding) = (Arc::clone(edge), self.index);
                let answers = Answers { edge, binding, format, messages, request_id, timer, place };
                (None, Ok(answers.into_response()))
            }
            Ok(None) => (Some(timer), Ok(format.head())),
            Err(problem) => (Some(timer), Err(problem)),
        }
    }

    fn deadline(&self) -> Result<Instant, Problem> {
        Ok(Instant::now() + deadline::asked(&self.parts.headers, self.edge.limits.deadline)?)
    }

    fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// The request message, encoded.
    async fn message(&self, body: Incoming, deadline: Instant) -> Result<Bytes, Problem> {
        let (memory, limit) = (self.memory(), self.edge.limits.max_body);
        let received = body::json(&self.parts.headers, body, limit, deadline, memory);
        let body = self.edge.admission.receive(self.client(None), received).await??;
        let (segments, query, headers) = (&self.path.segments, self.query(), self.given()?);
        let input = Input { segments, query, headers, body: body.as_ref().map(body::Text::as_str) };
        let message = request::message(self.edge.routes.schema(), self.binding, input)?;
        if let Some(memory) = memory {
            memory.grow(message.len())?;
        }
        Ok(message)
    }

    fn client(&self, user: Option<Uuid>) -> Client {
        Client { address: address(&self.parts.extensions), user }
    }

    fn memory(&self) -> Option<&RequestMemory> {
        self.parts.extensions.get()
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

    /// Only the token, trace, request id and the client's address are passed on.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in PASSED {
            if let Some(value) = self.parts.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        trace::pass_on(trace::given(&self.parts.headers).as_ref(), &mut headers);
        client_address::pass_on(&self.parts.extensions, &mut headers);
        headers
    }

    fn respond(&self, message: &[u8]) -> Result<Response<Body>, Problem> {
        let answer = self.binding.renderer.render(message).map_err(|error| {
            tracing::error!(%error, method = self.binding.method.name, "response can't be transcoded");
            Problem::from(Status::from(flotilla_rpc::RpcError::internal()))
        })?;
        Ok(reply::answer(&self.parts.method, &self.parts.headers, answer))
    }
}

/// Headers that reach the service.
const PASSED: [HeaderName; 4] =
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
