//! The client side: a channel that survives silent partitions and sends deadline, trace and request id on.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::transport::channel::ResponseFuture;
use tonic::transport::{self, Endpoint};
use tower::Service;

use crate::layers::deadline::{TIMEOUT_HEADER, format_timeout, parse_timeout};
use crate::layers::request_id::REQUEST_ID_HEADER;
use crate::layers::trace::TRACEPARENT_HEADER;
use crate::{CallContext, ClientSettings, Deadline, methods};

const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// The address of a server isn't one.
#[derive(Debug, thiserror::Error)]
#[error("not an address of a gRPC server: {0}")]
pub struct ChannelError(String);

/// A connection to a server for generated clients. Cheap to clone; reconnects by itself.
///
/// Each call sends on the deadline of the call that this task serves (or the default deadline, but for streaming
/// methods), the trace and the request id.
#[derive(Clone)]
pub struct Channel {
    inner: transport::Channel,
    default_deadline: Duration,
    streaming: Arc<HashSet<String>>,
    authorization: Option<HeaderValue>,
}

/// A channel to `url` (`http://host:port`). Connects lazily.
///
/// # Errors
/// `url` isn't an address.
pub fn channel(url: &str, settings: &ClientSettings) -> Result<Channel, ChannelError> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| ChannelError(url.to_owned()))?;
    if endpoint.uri().host().is_none() {
        return Err(ChannelError(url.to_owned()));
    }
    let inner = endpoint
        .connect_timeout(settings.connect_timeout.0)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(settings.keepalive_interval.0)
        .keep_alive_timeout(settings.keepalive_timeout.0)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect_lazy();
    Ok(Channel {
        inner,
        default_deadline: settings.default_deadline.0,
        streaming: Arc::new(methods::streaming_paths()),
        authorization: None,
    })
}

impl Channel {
    /// The same channel sending `token` with each call that brings none of its own.
    ///
    /// # Errors
    /// The token can't stand in a header.
    pub fn with_token(&self, token: &str) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
        value.set_sensitive(true);
        Ok(Self { authorization: Some(value), ..self.clone() })
    }

    fn prepare(&self, path: &str, headers: &mut HeaderMap) {
        CallContext::with(|context| {
            let left = context.deadline.map(Deadline::remaining);
            self.set_deadline(left, path, headers);
            if let Some(id) = &context.request_id
                && !headers.contains_key(&REQUEST_ID_HEADER)
            {
                headers.insert(REQUEST_ID_HEADER.clone(), id.0.clone());
            }
            set_traceparent(context.traceparent.as_deref(), headers);
        })
        .unwrap_or_else(|| {
            self.set_deadline(None, path, headers);
            set_traceparent(None, headers);
        });
        if let Some(authorization) = &self.authorization
            && !headers.contains_key(AUTHORIZATION)
        {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
    }

    /// The shortest of what the caller asked for, what is left of the call being served, and the default.
    fn set_deadline(&self, left: Option<Duration>, path: &str, headers: &mut HeaderMap) {
        let asked = parse_timeout(headers);
        let timeout = match (asked, left) {
            (Some(asked), Some(left)) if left < asked => left,
            (Some(_), _) => return,
            (None, Some(left)) => left,
            (None, None) if self.streaming.contains(path) => return,
            (None, None) => self.default_deadline,
        };
        headers.insert(TIMEOUT_HEADER.clone(), format_timeout(timeout));
    }
}

fn set_traceparent(fallback: Option<&str>, headers: &mut HeaderMap) {
    if headers.contains_key(&TRACEPARENT_HEADER) {
        return;
    }
    let own = flotilla_telemetry::current_traceparent();
    if let Some(traceparent) = own.as_deref().or(fallback)
        && let Ok(value) = HeaderValue::from_str(traceparent)
    {
        headers.insert(TRACEPARENT_HEADER.clone(), value);
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = transport::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        self.prepare(parts.uri.path(), &mut parts.headers);
        self.inner.call(Request::from_parts(parts, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RequestId;

    fn some_channel() -> Channel {
        channel("http://127.0.0.1:1", &ClientSettings::default()).unwrap()
    }

    #[tokio::test]
    async fn what_is_left_of_the_deadline_is_sent_on() {
        let context = CallContext {
            deadline: Some(Deadline::after(Duration::from_secs(3))),
            request_id: RequestId::new("r1"),
            traceparent: Some("00-1-2-01".into()),
        };
        let mut headers = HeaderMap::new();
        context.scope(async { some_channel().prepare("/a/B", &mut headers) }).await;
        let left = parse_timeout(&headers).unwrap();
        assert!(left > Duration::from_secs(2) && left <= Duration::from_secs(3), "{left:?}");
        assert_eq!(headers["x-request-id"], "r1");
        assert_eq!(headers["traceparent"], "00-1-2-01");
    }

    #[tokio::test]
    async fn a_shorter_timeout_of_the_caller_stays() {
        let context = CallContext { deadline: Some(Deadline::after(Duration::from_secs(3))), ..Default::default() };
        let mut headers = HeaderMap::new();
        headers.insert(TIMEOUT_HEADER.clone(), HeaderValue::from_static("1S"));
        context.scope(async { some_channel().prepare("/a/B", &mut headers) }).await;
        assert_eq!(headers["grpc-timeout"], "1S");
    }

    #[tokio::test]
    async fn outside_of_a_call_the_default_deadline_holds_but_not_for_streams() {
        let mut headers = HeaderMap::new();
        some_channel().with_token("t").unwrap().prepare("/a/B", &mut headers);
        assert_eq!(parse_timeout(&headers), Some(Duration::from_secs(10)));
        assert_eq!(headers["authorization"], "Bearer t");
        let mut headers = HeaderMap::new();
        some_channel().prepare("/flotilla.orders.v1.OrderService/WatchOrder", &mut headers);
        assert_eq!(parse_timeout(&headers), None);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["", "not a url", "/path"] {
            assert!(channel(url, &ClientSettings::default()).is_err(), "{url}");
        }
    }
}
