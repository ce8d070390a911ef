//! One call of a public method, in whatever protocol. All calls take the same steps, in an order that the types
//! enforce:
//!
//! 1. [`Call::admit`]: the token allows it, and the headers for the service are prepared ([`Admitted`]);
//! 2. [`Admitted::receive`]: the request's message has arrived ([`Received`]);
//! 3. [`Admitted::take_slot`]: there is room for the call ([`ReadyCall`]);
//! 4. [`ReadyCall::kept`]: a cached response, for protocols that can write one;
//! 5. [`ReadyCall::send`]: the service is called when it is the caller's turn, and stale cached responses are deleted;
//! 6. [`Answer`]: the service's response, observed until its end, for the protocol to write.
//!
//! A client-streaming call takes its slot before its messages arrive ([`Admitted::stream`]). Whatever ends a call early
//! is a [`Status`] until the protocol writes it.

mod answer;
mod body;
mod request;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_rpc::RpcError;
use flotilla_wire::{COMPRESSED, PREFIX, gzip, timeout};
use futures::FutureExt as _;
use futures::future::Either;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, Version};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tracing::Instrument as _;

use crate::admission::{Client, RequestMemory, Slot};
use crate::backend::exceeded;
use crate::client_address;
use crate::edge::Edge;
use crate::end::End;
use crate::message::Fault;
use crate::metrics::Timer;
use crate::routes::RpcMethod;
use crate::trace::{self, RequestInfo};

pub use answer::{Answer, CallDeadline, ReadyCall, UnaryResponse, refusal};
pub use body::{CallBody, STATUS, shutting_down};

use body::{Cut, Watch, reason_of};
use request::{Checked, collect, late_body};

/// Added to the deadline of a unary call, so that the service's own response arrives first.
const SLACK: Duration = Duration::from_millis(250);

/// A call to be made.
pub struct Call<'a> {
    /// The edge that makes it.
    pub edge: &'a Arc<Edge>,
    /// What is called.
    pub method: &'a Arc<RpcMethod>,
    /// The protocol that the client speaks, for metrics.
    pub protocol: &'static str,
    /// The HTTP method that it used, for metrics.
    pub verb: &'a str,
    /// The route in metrics.
    pub route: &'a str,
    /// The pattern that led to it, for traces.
    pub pattern: &'a str,
    /// The path itself.
    pub path: &'a str,
    /// The request's id.
    pub id: &'a HeaderValue,
}

/// A call that may be made.
pub struct Admitted<'a> {
    call: &'a Call<'a>,
    client: Client,
    memory: Option<RequestMemory>,
    /// The head that goes on to the service.
    head: Parts,
    /// Whether messages may be compressed.
    compressed: bool,
}

/// A request's message, behind its prefix.
pub struct Received(Bytes);

impl<'a> Call<'a> {
    /// A call that names the method itself, not a route.
    pub fn by_name(
        edge: &'a Arc<Edge>,
        method: &'a Arc<RpcMethod>,
        protocol: &'static str,
        verb: &'static str,
        id: &'a HeaderValue,
    ) -> Self {
        let (route, path) = (method.name.as_str(), method.path.as_str());
        Self { edge, method, protocol, verb, route, pattern: path, path, id }
    }

    /// Makes a call that arrives as gRPC or was translated into it, and times it until its end.
    ///
    /// # Errors
    /// The gateway's own, as clients get it. The service's error is in the response.
    pub async fn make<B>(&self, request: Request<B>) -> Result<Answer<'_>, Status>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let timer = self.begin(request.headers());
        let made = timer.span().within(self.forward(request));
        match made.instrument(self.scope()).await {
            Ok(answer) => Ok(answer.timed(timer)),
            Err(status) => {
                timer.end_because(End::Grpc(status.code()), reason_of(&status).as_deref());
                Err(self.edge.limits.client_status(status))
            }
        }
    }

    /// Counts a call that can't be made, and returns its error as clients get it.
    pub fn refuse(&self, error: impl Into<RpcError>) -> Status {
        let status = Status::from(error.into());
        self.edge.metrics.begin(self.protocol, self.route, self.verb).end(End::Grpc(status.code()));
        self.edge.limits.client_status(status)
    }

    /// Starts the call's timer, in a span of its own.
    pub fn begin(&self, headers: &HeaderMap) -> Timer {
        let Self { protocol, verb, pattern: route, path, id, .. } = *self;
        let request = RequestInfo { protocol, verb, route, path, method: &self.method.name, id };
        self.edge.metrics.begin(protocol, self.route, verb).traced(trace::span(&request, headers))
    }

    /// The fields of every log line of the call.
    pub fn scope(&self) -> tracing::Span {
        trace::scope(&self.method.name, self.id)
    }

    async fn forward<B>(&self, request: Request<B>) -> Result<Answer<'_>, Status>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let admitted = self.admit(head).await?;
        let (requested, now) = (timeout::read(&admitted.head.headers), Instant::now());
        let end = requested.map(|timeout| now + timeout);
        if self.method.client_streaming {
            return admitted.stream(body, end).await;
        }
        let limits = &self.edge.limits;
        let longest = requested.unwrap_or(limits.deadline).min(limits.deadline);
        let deadline = CallDeadline { until: now + longest + SLACK, end, sends_deadline: false };
        let collected = async {
            let message = collect(body, limits.max_body, admitted.memory());
            timeout_at(deadline.until, message).await.map_err(|_| Status::from(late_body()))?
        };
        let received = admitted.receive(collected).await?;
        admitted.take_slot(received).await?.send(deadline).await
    }

    /// Checks whether the token in a request's headers allows the call. The headers are forwarded to the service with
    /// the client's address and trace, and without those of the connection.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` or `PERMISSION_DENIED`.
    pub async fn admit(&'a self, mut head: Parts) -> Result<Admitted<'a>, RpcError> {
        let user = self.edge.admit(self.method.access, &head.headers).await?;
        let client = Client { address: client_address::network_of(&head.extensions), user };
        let memory = head.extensions.remove::<RequestMemory>();
        let given = trace::given(&head.headers);
        trace::pass_on(given.as_ref(), &mut head.headers);
        client_address::pass_on(&head.extensions, &mut head.headers);
        head.extensions = Extensions::new();
        head.version = Version::HTTP_2;
        let compressed = head.headers.get("grpc-encoding").is_some_and(|name| name == "gzip");
        Ok(Admitted { call: self, client, memory, head, compressed })
    }

    /// Resolves when the call must end early: at its deadline or, for streaming responses, at a drain.
    fn cut(&self, until: Option<Instant>) -> Option<Cut> {
        let late = until.map(|until| sleep_until(until).map(|()| exceeded()));
        let drain = self
            .method
            .server_streaming
            .then(|| self.edge.draining.clone().cancelled_owned().map(|()| shutting_down()));
        match (late, drain) {
            (None, None) => None,
            (Some(late), None) => Some(late.boxed()),
            (None, Some(drain)) => Some(drain.boxed()),
            (Some(late), Some(drain)) => Some(futures::future::select(late.boxed(), drain.boxed()).map(reason).boxed()),
        }
    }

    fn watch(&self, fault: Fault, until: Option<Instant>) -> Watch {
        Watch { fault, cut: self.cut(until), endless: self.method.server_streaming, limits: self.edge.limits }
    }

    fn answer(&'a self, response: Response<Body>, slot: Slot, watch: Watch) -> Answer<'a> {
        let (parts, body) = response.into_parts();
        let body = CallBody::new(body, &parts.headers, slot, watch);
        Answer::new(self, Response::from_parts(parts, body))
    }
}

impl<'a> Admitted<'a> {
    /// The memory that the request's body counts against.
    pub fn memory(&self) -> Option<&RequestMemory> {
        self.memory.as_ref()
    }

    /// Waits for the request's message; until it has arrived, the call takes no slot.
    ///
    /// # Errors
    /// Those of `message`; `CALLER_LIMIT` where later requests took its room.
    pub async fn receive<E>(&self, message: impl Future<Output = Result<Bytes, E>>) -> Result<Received, E>
    where
        E: From<RpcError>,
    {
        let message = self.call.edge.admission.receive(self.client, message).await??;
        Ok(Received(message))
    }

    /// Takes a slot for the call with this message.
    ///
    /// # Errors
    /// There is none, or the caller's share is used up.
    pub async fn take_slot(self, Received(message): Received) -> Result<ReadyCall<'a>, RpcError> {
        let (admission, method) = (&self.call.edge.admission, self.call.method);
        let slot = if method.server_streaming {
            let watched = method.watched(&self.plain(&message).unwrap_or_default());
            admission.stream(self.client, Some((&method.name, &watched))).await?
        } else {
            let slot = admission.call(self.client).await?;
            if let Some(memory) = &self.memory {
                memory.expect(method.answers.expected())?;
            }
            slot
        };
        Ok(ReadyCall::new(self, message, slot))
    }

    /// Makes a client-streaming call and waits until the response begins, at most until `until`. An invalid message
    /// aborts the call with its reason.
    ///
    /// # Errors
    /// The service's own status, or why the call can't be made or go on.
    pub async fn stream<B>(self, body: B, until: Option<Instant>) -> Result<Answer<'a>, Status>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { call, client, memory, head, .. } = self;
        let limits = &call.edge.limits;
        let slot = call.edge.admission.stream(client, None).await?;
        if let Some(memory) = &memory {
            memory.grow(limits.stream_window)?;
        }
        let fault = Fault::default();
        let request = Request::from_parts(head, Body::new(Checked::new(body, limits.max_body, fault.clone())));
        let sent = async {
            let answer = call.edge.backends.send(call.method, request).await;
            match (&answer, fault.get()) {
                // The service only sees that the request was aborted.
                (Err(_), Some(reason)) => Err(reason.clone()),
                (Ok(response), Some(reason)) if response.headers().contains_key(STATUS) => Err(reason.clone()),
                _ => answer,
            }
        };
        let response = match call.cut(until) {
            None => sent.await?,
            Some(cut) => tokio::select! {
                answer = sent => answer?,
                reason = cut => return Err(reason.into()),
            },
        };
        Ok(call.answer(response, slot, call.watch(fault, until)))
    }

    /// The message behind its prefix, if it can be decoded.
    fn plain(&self, message: &Bytes) -> Option<Bytes> {
        let plain = message.slice(PREFIX.min(message.len())..);
        match message.first()? {
            0 => Some(plain),
            &COMPRESSED if self.compressed => {
                gzip::inflate(&plain, self.call.edge.limits.max_body).ok().map(Bytes::from)
            }
            _ => None,
        }
    }
}

fn reason<R, A, B>(first: Either<(R, A), (R, B)>) -> R {
    match first {
        Either::Left((reason, _)) | Either::Right((reason, _)) => reason,
    }
}
