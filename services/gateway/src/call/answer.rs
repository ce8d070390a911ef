//! From the place of a call to its answer: what is kept, the service's turn, and what the service says.

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
use crate::admission::{Place, delay_refusal};
use crate::backend::exceeded;
use crate::message::{Fault, MAX_ANSWER, MessageReader};
use crate::metrics::Timer;

/// How long a call with one message may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// When its answer has to be there; of a stream of answers: its beginning.
    pub until: Instant,
    /// When a stream of answers ends, where the client has said so.
    pub end: Option<Instant>,
    /// Whether to send the service the remaining time: a gRPC client has sent it itself.
    pub sends_deadline: bool,
}

/// A call with its message and its place.
pub struct Placed<'a> {
    admitted: Admitted<'a>,
    message: Bytes,
    place: Place,
    /// Under which key the answer is kept.
    key: Option<String>,
}

impl<'a> Placed<'a> {
    pub(super) fn new(admitted: Admitted<'a>, message: Bytes, place: Place) -> Self {
        Self { admitted, message, place, key: None }
    }

    /// The response that is kept for the request; where there is none, [`Answer::whole`] keeps that of the service.
    pub async fn kept(&mut self) -> Option<Bytes> {
        let (cache, method) = (&self.admitted.call.edge.cache, self.admitted.call.method);
        if !cache.is_read(method) {
            return None;
        }
        let key = cache.read_key(method, &self.admitted.plain(&self.message)?)?;
        let kept = cache.get(&key).await;
        self.key = Some(key);
        kept
    }

    /// Calls the service in its caller's turn, and waits for the beginning of its answer.
    ///
    /// # Errors
    /// The service's own status where it has no headers, or why the service couldn't be asked.
    pub async fn send(self, patience: Patience) -> Result<Answer<'a>, Status> {
        let stale = self.stale_key();
        let Self { admitted: Admitted { call, client, mut head, .. }, message, place, key } = self;
        let (edge, method) = (call.edge, call.method);
        let until = patience.until;
        let answering = async {
            if patience.sends_deadline {
                let left = until.saturating_duration_since(Instant::now());
                head.headers.insert(timeout::TIMEOUT, timeout::value(left));
            }
            let request = Request::from_parts(head, Body::new(Full::new(message)));
            timeout_at(until, edge.backends.send(method, request)).await.map_err(|_| exceeded())?
        };
        let response = edge.admission.in_turn(client, &method.backend, until, answering).await;
        if let Some(key) = stale {
            // Whatever the answer says: a call that timed out may still have done its work.
            edge.cache.forget(&key).await;
        }
        let response = response?;
        if let Some(status) = refusal(response.headers()) {
            delay_refusal(&status).await;
        }
        let end = if method.server_streaming { patience.end } else { Some(until) };
        let mut answer = call.answer(response, place, call.watch(Fault::default(), end));
        answer.key = key;
        Ok(answer)
    }

    /// The name of the kept response that this request makes stale. A message that can't be read names none: no service
    /// accepts it.
    fn stale_key(&self) -> Option<String> {
        let (cache, method) = (&self.admitted.call.edge.cache, self.admitted.call.method);
        if !cache.is_change(method) {
            return None;
        }
        cache.stale_key(method, &self.admitted.plain(&self.message)?)
    }
}

/// The beginning of what a service says, and what belongs to it until its end.
pub struct Answer<'a> {
    call: &'a Call<'a>,
    response: Response<CallBody>,
    key: Option<String>,
}

/// All that a service says in one message.
pub struct Whole {
    /// The headers.
    pub headers: HeaderMap,
    /// The trailers.
    pub trailers: HeaderMap,
    /// The message, or the error in its place.
    pub message: Result<Bytes, Status>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(call: &'a Call<'a>, response: Response<CallBody>) -> Self {
        Self { call, response, key: None }
    }

    /// The end of the answer ends the timer.
    pub(super) fn timed(mut self, timer: Timer) -> Self {
        self.response.body_mut().time(timer);
        self
    }

    /// The answer as it comes: headers and frames of gRPC.
    pub fn into_response(self) -> Response<CallBody> {
        self.response
    }

    /// The same, where it doesn't begin with an error.
    ///
    /// # Errors
    /// The service's own.
    pub fn begun(self) -> Result<Response<CallBody>, Status> {
        refusal(self.response.headers()).map_or(Ok(self.response), Err)
    }

    /// Reads the answer to its end: one message and the status after it. It is kept, where [`Placed::kept`] has asked.
    pub async fn whole(self) -> Whole {
        let Self { call, response, key } = self;
        let (parts, body) = response.into_parts();
        let mut trailers = HeaderMap::new();
        let message = match refusal(&parts.headers) {
            Some(status) => Err(status),
            None => read(body, &parts.headers, &mut trailers).await,
        };
        if let Ok(message) = &message {
            call.method.answers.note(message.len());
            if let Some(key) = key {
                // A copy: the message is a part of what came over the connection, and would keep all of that.
                call.edge.cache.put(&key, Bytes::copy_from_slice(message)).await;
            }
        }
        Whole { headers: parts.headers, trailers, message }
    }
}

/// The error that headers or trailers tell.
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
