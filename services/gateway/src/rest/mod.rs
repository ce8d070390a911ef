//! REST: a request finds its binding, is admitted, read, transcoded and answered; errors are problem details.

mod body;
mod deadline;
mod events;
mod index;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tracing::Instrument as _;

use crate::backend::CallOptions;
use crate::edge::Edge;
use crate::metrics::Timer;
use crate::problem::Problem;
use crate::request_id;
use crate::routes::{Binding, Found, NotUtf8, Path};
use crate::trace;
use crate::transcode::{self, Headers, Input};

use events::Events;

/// Media type of answers.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Route of requests that find none, in metrics.
const NO_ROUTE: &str = "none";

/// A response whose body is there.
pub fn full(body: Bytes) -> Response<Body> {
    Response::new(Body::new(Full::new(body)))
}

/// Answers a request.
pub async fn handle(edge: &Arc<Edge>, request: Request<Incoming>, id: &HeaderValue) -> Response<Body> {
    let head = request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let (timer, answered) = answer(edge, &parts, body, id).await;
    let id = id.to_str().unwrap_or_default();
    let mut response = answered.unwrap_or_else(|problem| problem.into_response(id));
    if let Some(timer) = timer {
        timer.end(response.status().as_str());
    }
    if head {
        let length = http_body::Body::size_hint(response.body()).exact();
        *response.body_mut() = Body::empty();
        if let Some(length) = length {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
    response
}

/// The answer, and the timer unless a stream has taken it along.
async fn answer(
    edge: &Arc<Edge>,
    parts: &Parts,
    body: Incoming,
    id: &HeaderValue,
) -> (Option<Timer>, Result<Response<Body>, Problem>) {
    let path = match Path::parse(parts.uri.path()) {
        Ok(path) => path,
        Err(NotUtf8) => {
            let problem = Problem::bad_request("INVALID_PATH", "the path is not UTF-8");
            return (Some(begin(edge, NO_ROUTE, parts)), Err(problem));
        }
    };
    let found = match edge.routes.find(&parts.method, &path) {
        Found::Binding(index) => Ok((index, edge.routes.binding(index))),
        Found::OtherMethods(methods) => Err(Problem::other_methods(&methods)),
        Found::Nothing if path.segments == [""] && path.verb.is_none() => {
            let timer = begin(edge, "/", parts);
            return (Some(timer), index::answer(&edge.routes, &parts.method));
        }
        Found::Nothing => Err(Problem::no_route()),
    };
    let (index, binding) = match found {
        Ok(found) => found,
        Err(problem) => return (Some(begin(edge, NO_ROUTE, parts)), Err(problem)),
    };
    let timer = begin(edge, &binding.pattern, parts);
    let span = trace::span(&binding.method.name, id, &parts.headers);
    let call = Call { edge, binding, parts, path: &path };
    if binding.method.server_streaming {
        return call.stream(body, index, timer, id).instrument(span).await;
    }
    (Some(timer), call.unary(body).instrument(span).await)
}

fn begin(edge: &Edge, route: &str, parts: &Parts) -> Timer {
    // Clients can make methods up; metrics can't hold them all.
    let method = match parts.method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::OPTIONS => {
            parts.method.as_str()
        }
        _ => "other",
    };
    edge.metrics.begin("rest", route, method)
}

/// A request that has found its binding.
struct Call<'a> {
    edge: &'a Arc<Edge>,
    binding: &'a Binding,
    parts: &'a Parts,
    path: &'a Path<'a>,
}

impl Call<'_> {
    async fn unary(&self, body: Incoming) -> Result<Response<Body>, Problem> {
        let (edge, method) = (self.edge, &self.binding.method);
        edge.admit(method.access, &self.parts.headers).await?;
        let _place = edge.place(false)?;
        let deadline = self.deadline()?;
        let request = self.message(body, deadline).await?;
        let read_key = edge.cache.read_key(method, &request);
        if let Some(key) = &read_key
            && let Some(kept) = edge.cache.get(key).await
            && let Ok(response) = self.respond(&kept)
        {
            return Ok(response);
        }
        let stale_key = edge.cache.stale_key(method, &request);
        let answer = edge.backends.unary(method, transcode::encode(&request), self.options(deadline)).await;
        if let Some(key) = stale_key {
            // Whatever the answer says: a call that timed out may still have done its work.
            edge.cache.forget(&key).await;
        }
        let answer = answer?;
        if let Some(key) = read_key {
            edge.cache.put(&key, answer.clone()).await;
        }
        self.respond(&answer)
    }

    async fn stream(
        &self,
        body: Incoming,
        binding: usize,
        timer: Timer,
        id: &HeaderValue,
    ) -> (Option<Timer>, Result<Response<Body>, Problem>) {
        let (edge, method) = (self.edge, &self.binding.method);
        let opened = async {
            edge.admit(method.access, &self.parts.headers).await?;
            let place = edge.place(true)?;
            let deadline = self.deadline()?;
            let request = self.message(body, deadline).await?;
            if self.parts.method == Method::HEAD {
                return Ok(None);
            }
            let stream = edge.backends.stream(method, transcode::encode(&request), self.options(deadline)).await?;
            Ok::<_, Problem>(Some((place, stream)))
        };
        match opened.await {
            Ok(Some((place, messages))) => {
                let request_id = id.to_str().unwrap_or_default().to_owned();
                let events = Events { edge: Arc::clone(edge), binding, messages, request_id, timer, place };
                (None, Ok(events.into_response()))
            }
            Ok(None) => (Some(timer), Ok(events::head())),
            Err(problem) => (Some(timer), Err(problem)),
        }
    }

    fn deadline(&self) -> Result<Instant, Problem> {
        Ok(Instant::now() + deadline::asked(&self.parts.headers, self.edge.limits.deadline)?)
    }

    /// The request message.
    async fn message(&self, body: Incoming, deadline: Instant) -> Result<prost_reflect::DynamicMessage, Problem> {
        let headers = &self.parts.headers;
        let body = body::json(headers, body, self.edge.limits.max_body, deadline).await?;
        let input = Input {
            segments: &self.path.segments,
            query: self.parts.uri.query().unwrap_or_default(),
            headers: Headers {
                idempotency_key: text(headers, "idempotency-key")?.map(unquoted),
                if_match: text(headers, "if-match")?,
                last_event_id: text(headers, "last-event-id")?,
            },
            body,
        };
        transcode::request(self.binding, input).map_err(Problem::violations)
    }

    /// Token, trace and request id go with the call, nothing else does.
    fn options(&self, deadline: Instant) -> CallOptions {
        let mut headers = HeaderMap::new();
        for name in [http::header::AUTHORIZATION, trace::TRACEPARENT, trace::TRACESTATE, request_id::HEADER] {
            if let Some(value) = self.parts.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        trace::pass_on(&mut headers);
        CallOptions { headers, deadline }
    }

    fn respond(&self, message: &[u8]) -> Result<Response<Body>, Problem> {
        let answer = self.binding.renderer.render(message).map_err(|error| {
            tracing::error!(%error, method = self.binding.method.name, "response can't be transcoded");
            Problem::from(Status::from(flotilla_rpc::RpcError::internal()))
        })?;
        let mut response = full(answer.json.into());
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        // What a caller may see is theirs: no shared cache on the way keeps it.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        if let Some(etag) = answer.etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
            headers.insert(ETAG, etag);
        }
        Ok(response)
    }
}

/// A header as text.
fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(HeaderName::from_static(name)) else { return Ok(None) };
    let text =
        value.to_str().map_err(|_| Problem::bad_request("INVALID_HEADER", format!("{name} is not plain text")))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

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
