//! REST: a request is matched to its binding, admitted, read, transcoded and answered; errors are problem details.

mod body;
mod call;
mod deadline;
mod index;
mod lines;
mod request;
mod stream;
mod upload;

use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tracing::Instrument as _;

use crate::call::Call;
use crate::edge::Edge;
use crate::end::End;
use crate::metrics::Timer;
use crate::problem::Problem;
use crate::routes::{Found, NotUtf8, Path};

use call::RestCall;

/// The route of requests that match none, in metrics.
const NO_ROUTE: &str = "none";

/// Answers a request.
pub async fn handle(edge: &Arc<Edge>, request: Request<Incoming>, id: &HeaderValue) -> Response<Body> {
    let head = request.method() == Method::HEAD;
    let (mut parts, body) = request.into_parts();
    let known = std::mem::take(&mut parts.extensions);
    let (mut timer, answered) = answer(edge, &parts, known, body, id).await;
    let id = id.to_str().unwrap_or_default();
    if let (Some(timer), Err(problem)) = (timer.take_if(|_| answered.is_err()), &answered) {
        timer.end_because(End::Http(problem.status()), Some(problem.reason()));
    }
    let mut response = answered.unwrap_or_else(|problem| problem.into_response(id));
    if let Some(timer) = timer {
        timer.end(End::Http(response.status()));
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

/// The response, and the timer unless a stream has taken it.
async fn answer(
    edge: &Arc<Edge>,
    parts: &Parts,
    known: Extensions,
    body: Incoming,
    id: &HeaderValue,
) -> (Option<Timer>, Result<Response<Body>, Problem>) {
    let path = match Path::parse(parts.uri.path()) {
        Ok(path) => path,
        Err(NotUtf8) => {
            let problem = Problem::bad_request("INVALID_PATH", "the path is not UTF-8");
            return (Some(begin_aside(edge, NO_ROUTE, parts)), Err(problem));
        }
    };
    let found = match edge.routes.find(&parts.method, &path) {
        Found::Binding(index) => Ok((index, edge.routes.binding(index))),
        Found::OtherMethods(methods) => Err(Problem::other_methods(&methods)),
        Found::Nothing if path.segments == [""] && path.verb.is_none() => {
            let timer = begin_aside(edge, "/", parts);
            return (Some(timer), index::answer(&edge.routes, parts));
        }
        Found::Nothing => match edge.site.find(parts.uri.path()) {
            Some(page) => {
                let timer = begin_aside(edge, page.path, parts);
                return (Some(timer), edge.site.answer(page, parts));
            }
            None => Err(Problem::no_route()),
        },
    };
    let (index, binding) = match found {
        Ok(found) => found,
        Err(problem) => return (Some(begin_aside(edge, NO_ROUTE, parts)), Err(problem)),
    };
    let call = Call {
        edge,
        method: &binding.method,
        protocol: "rest",
        verb: parts.method.as_str(),
        route: &binding.pattern,
        pattern: &binding.pattern,
        path: parts.uri.path(),
        id,
    };
    let timer = call.begin(&parts.headers);
    let (scope, span) = (call.scope(), timer.span().handle());
    let call = RestCall { call: &call, binding, index, parts, path: &path };
    let head = call.head(known);
    if binding.method.server_streaming {
        return span.within(call.stream(head, body, timer)).instrument(scope).await;
    }
    if binding.method.client_streaming {
        return (Some(timer), span.within(call.upload(head, body)).instrument(scope).await);
    }
    (Some(timer), span.within(call.unary(head, body)).instrument(scope).await)
}

fn begin_aside(edge: &Edge, route: &str, parts: &Parts) -> Timer {
    edge.metrics.begin_aside("rest", route, parts.method.as_str())
}

/// A header as text. It may be repeated only with the same value: choosing one of several would be a guess.
fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let invalid = |what: &str| Problem::bad_request("INVALID_HEADER", format!("{name} {what}"));
    let mut found = None;
    for value in headers.get_all(HeaderName::from_static(name)) {
        let text = value.to_str().map_err(|_| invalid("is not plain text"))?.trim();
        match found {
            _ if text.is_empty() => {}
            None => found = Some(text),
            Some(found) if found == text => {}
            Some(_) => return Err(invalid("is given twice with different values")),
        }
    }
    Ok(found)
}
