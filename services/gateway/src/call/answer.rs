//! From a call's slot to its response: the cached response, the turn at the service, and the service's response.

use bytes::Bytes;
use flotilla_rpc::RpcError;
use flotilla_wire::timeout;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::{Code, Status};

use super::body::{CallBody, code_in};
use super::{Admitted, Call};
use crate::admission::{Slot, delay_refusal};
use crate::backend::exceeded;
use crate::message::{Fault, MAX_ANSWER, MessageReader};
use crate::metrics::Timer;
use crate::response_cache::MissingResponse;

/// How long a call with one request message may take.
#[derive(Debug, Clone, Copy)]
pub struct CallDeadline {
    /// When the response must have arrived; for a streaming response, when it must have begun.
    pub until: Instant,
    /// When a streaming response ends, if the client has set a deadline.
    pub end: Option<Instant>,
    /// Whether to send the service the remaining time: a gRPC client has sent it itself.
    pub sends_deadline: bool,
}

/// A call that has its message and its slot, and can be sent.
pub struct ReadyCall<'a> {
    admitted: Admitted<'a>,
    message: Bytes,
    slot: Slot,
    /// What to do with the response, if it can be cached.
    missing: Option<MissingResponse>,
}

impl<'a> ReadyCall<'a> {
    pub(super) fn new(admitted: Admitted<'a>, message: Bytes, slot: Slot) -> Self {
        Self { admitted, message, slot, missing: None }
    }

    /// The cached response to the request; if there is none, [`Self::message`] caches that of the service.
    pub async fn kept(&mut self) -> Option<Bytes> {
        let (cache, method) = (&self.admitted.call.edge.cache, self.admitted.call.method);
        if !cache.is_read(method) {
            return None;
        }
        let request = self.admitted.plain(&self.message)?;
        match cache.look_up(method, &request).await? {
            Ok(kept) => Some(kept),
            Err(missing) => {
                self.missing = Some(missing);
                None
            }
        }
    }

    /// Calls the service and returns its message. Caches it if [`Self::kept`] found none; if the service is unavailable,
    /// it may be an older one that is cached.
    ///
    /// # Errors
    /// The service's status, or why it couldn't be called.
    pub async fn message(mut self, deadline: CallDeadline) -> Result<Bytes, Status> {
        let missing = self.missing.take();
        let message = match self.send(deadline).await {
            Ok(answer) => answer.whole().await.message,
            Err(status) => Err(status),
        };
        match missing {
            Some(missing) => missing.fill(message).await,
            None => message,
        }
    }

    /// Calls the service once it is the caller's turn, and waits for the response to begin.
    ///
    /// # Errors
    /// The service's status if it sends no headers, or why the service couldn't be called.
    pub async fn send(self, deadline: CallDeadline) -> Result<Answer<'a>, Status> {
        let changed = self.changed_key();
        let Self { admitted: Admitted { call, client, mut head, .. }, message, slot, .. } = self;
        let (edge, method) = (call.edge, call.method);
        let until = deadline.until;
        let answering = async {
            if deadline.sends_deadline {
                let left = until.saturating_duration_since(Instant::now());
                head.headers.insert(timeout::TIMEOUT, timeout::value(left));
            }
            let request = Request::from_parts(head, Body::new(Full::new(message)));
            timeout_at(until, edge.backends.send(method, request)).await.map_err(|_| exceeded())?
        };
        let response = edge.admission.in_turn(client, &method.backend, until, answering).await;
        if let Some(key) = changed {
            // Whatever the response is: a call that timed out may still have done its work.
            edge.cache.invalidate(&key).await;
        }
        let response = response?;
        if let Some(status) = refusal(response.headers()) {
            delay_refusal(&status).await;
        }
        let end = if method.server_streaming { deadline.end } else { Some(until) };
        Ok(call.answer(response, slot, call.watch(Fault::default(), end)))
    }

    /// The key of the cached response that this request makes old. A message that can't be decoded has none: no
    /// service accepts it.
    fn changed_key(&self) -> Option<String> {
        let (cache, method) = (&self.admitted.call.edge.cache, self.admitted.call.method);
        if !cache.is_change(method) {
            return None;
        }
        cache.changed_key(method, &self.admitted.plain(&self.message)?)
    }
}

/// A service's response that has begun, and what it holds until its end.
pub struct Answer<'a> {
    call: &'a Call<'a>,
    response: Response<CallBody>,
}

/// A complete response with one message.
pub struct UnaryResponse {
    /// The headers.
    pub headers: HeaderMap,
    /// The trailers.
    pub trailers: HeaderMap,
    /// The message, or the error instead of it.
    pub message: Result<Bytes, Status>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(call: &'a Call<'a>, response: Response<CallBody>) -> Self {
        Self { call, response }
    }

    /// Stops `timer` when the response ends.
    pub(super) fn timed(mut self, timer: Timer) -> Self {
        self.response.body_mut().time(timer);
        self
    }

    /// The response as it arrives: gRPC's headers and frames.
    pub fn into_response(self) -> Response<CallBody> {
        self.response
    }

    /// The same, unless it begins with an error.
    ///
    /// # Errors
    /// The service's own.
    pub fn begun(self) -> Result<Response<CallBody>, Status> {
        refusal(self.response.headers()).map_or(Ok(self.response), Err)
    }

    /// Reads the response to its end: one message and the status after it.
    pub async fn whole(self) -> UnaryResponse {
        let Self { call, response } = self;
        let (parts, body) = response.into_parts();
        let mut trailers = HeaderMap::new();
        let message = match refusal(&parts.headers) {
            Some(status) => Err(status),
            None => read(body, &parts.headers, &mut trailers).await,
        };
        if let Ok(message) = &message {
            call.method.answers.note(message.len());
        }
        UnaryResponse { headers: parts.headers, trailers, message }
    }
}

/// The error in headers or trailers, if they carry one.
pub fn refusal(headers: &HeaderMap) -> Option<Status> {
    code_in(headers).filter(|code| *code != Code::Ok).and_then(|_| Status::from_header_map(headers))
}

async fn read(body: CallBody, headers: &HeaderMap, trailers: &mut HeaderMap) -> Result<Bytes, Status> {
    let mut messages = MessageReader::new(body, MAX_ANSWER);
    let mut found = None;
    while let Some(message) = messages.next().await? {
        match message {
            (0, message) if found.is_none() => found = Some(message),
            _ => return Err(RpcError::internal().into()),
        }
    }
    *trailers = messages.trailers().unwrap_or_default();
    match (refusal(trailers), code_in(trailers).or_else(|| code_in(headers)), found) {
        (Some(status), ..) => Err(status),
        (None, Some(Code::Ok), Some(message)) => Ok(message),
        _ => Err(RpcError::internal().into()),
    }
}
