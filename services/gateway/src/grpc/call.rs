//! One call of a public method, whatever protocol it came by: admitted, given a place, passed on to its service, and
//! watched until its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_rpc::code_name;
use flotilla_wire::{COMPRESSED, PREFIX, gzip, timeout};
use futures::FutureExt as _;
use futures::future::Either;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::Full;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::call_body::{CallBody, Cut, Watch, reason_of, shutting_down};
use super::message::{Checked, collect, late_body};
use crate::admission::{Client, Place, RequestMemory, delay_refusal};
use crate::backend::{exceeded, lost, settle};
use crate::client_address;
use crate::edge::{Edge, address};
use crate::message::Fault;
use crate::routes::RpcMethod;
use crate::trace::{self, Asked};

/// What a unary call gets on top of its deadline, so that the service's own answer comes first.
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
    pub verb: &'static str,
    /// The request's id.
    pub id: &'a HeaderValue,
}

/// The beginning of an answer, and what belongs to it until its end.
struct Begun {
    response: Response<Body>,
    place: Place,
    watch: Watch,
}

impl Call<'_> {
    /// Makes the call. The answer is gRPC's: it always has a status, in its trailers or, where nothing came before, in
    /// its headers.
    pub async fn make<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = self.method.path.as_str();
        let Call { protocol, verb, id, .. } = *self;
        let asked = Asked { protocol, verb, route: path, path, method: &self.method.name, id };
        let timer = self.edge.metrics.begin(protocol, &self.method.name, verb);
        let timer = timer.traced(trace::span(&asked, request.headers()));
        let forwarded = timer.span().within(self.forward(request));
        match forwarded.instrument(trace::scope(&self.method.name, id)).await {
            Ok(begun) => {
                let (parts, body) = begun.response.into_parts();
                let body = CallBody::new(body, &parts.headers, (timer, begun.place), begun.watch);
                Response::from_parts(parts, Body::new(body))
            }
            Err(status) => {
                timer.end_because(code_name(status.code()), reason_of(&status).as_deref());
                self.edge.limits.told(status).into_http()
            }
        }
    }

    /// Answers a call that can't be made.
    pub fn refuse(&self, status: Status) -> Response<Body> {
        self.edge.metrics.begin(self.protocol, &self.method.name, self.verb).end(code_name(status.code()));
        self.edge.limits.told(status).into_http()
    }

    async fn forward<B>(&self, request: Request<B>) -> Result<Begun, Status>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (edge, method) = (self.edge, self.method);
        let user = edge.admit(method.access, request.headers()).await?;
        let client = Client { address: address(request.extensions()), user };
        let (mut parts, body) = request.into_parts();
        let memory = parts.extensions.remove::<RequestMemory>();
        let given = trace::given(&parts.headers);
        trace::pass_on(given.as_ref(), &mut parts.headers);
        client_address::pass_on(&parts.extensions, &mut parts.headers);
        parts.extensions = http::Extensions::new();
        parts.version = Version::HTTP_2;
        let asked = timeout::read(&parts.headers);
        let limit = edge.limits.max_body;
        if method.client_streaming {
            let place = edge.admission.stream(client, None).await?;
            if let Some(memory) = &memory {
                memory.grow(edge.limits.stream_window)?;
            }
            let fault = Fault::default();
            let request = Request::from_parts(parts, Body::new(Checked::new(body, limit, fault.clone())));
            let until = asked.map(|asked| Instant::now() + asked);
            let response = self.begin_stream(request, &fault, until).await?;
            return Ok(Begun { response, place, watch: self.watch(fault, until) });
        }
        let longest = asked.unwrap_or(edge.limits.deadline).min(edge.limits.deadline);
        let until = Instant::now() + longest + SLACK;
        let packed = parts.headers.get("grpc-encoding").is_some_and(|name| name == "gzip");
        let received = edge.admission.receive(client, collect(body, limit, memory.as_ref()));
        let message = timeout_at(until, received).await.map_err(|_| late_body())???;
        let place = self.place(client, &message, packed).await?;
        if let Some(memory) = memory.as_ref().filter(|_| !method.server_streaming) {
            memory.expect(method.answers.expected())?;
        }
        let unary = async {
            let stale = self.stale_key(&message, packed);
            let request = Request::from_parts(parts, Body::new(Full::new(message)));
            let response = edge.admission.in_turn(client, &method.backend, until, self.send(request)).await;
            if let Some(key) = stale {
                edge.cache.forget(&key).await;
            }
            response
        };
        let response = timeout_at(until, unary).await.map_err(|_| exceeded())??;
        if let Some(status) = Status::from_header_map(response.headers()) {
            delay_refusal(&status).await;
        }
        // A stream goes on for as long as its client asked for; otherwise the answer has begun, and its end is near.
        let until =
            if method.server_streaming { asked.map(|asked| until - longest - SLACK + asked) } else { Some(until) };
        Ok(Begun { response, place, watch: self.watch(Fault::default(), until) })
    }

    /// Takes a slot for the call with this message.
    async fn place(&self, client: Client, framed: &Bytes, packed: bool) -> Result<Place, Status> {
        let (admission, method) = (&self.edge.admission, self.method);
        if !method.server_streaming {
            return Ok(admission.call(client).await?);
        }
        let message = self.unpacked(framed, packed).unwrap_or_default();
        Ok(admission.stream(client, Some((&method.name, &method.watched(&message)))).await?)
    }

    /// Waits for the beginning of an answer to a stream, which may take as long as the stream.
    async fn begin_stream(
        &self,
        request: Request<Body>,
        fault: &Fault,
        until: Option<Instant>,
    ) -> Result<Response<Body>, Status> {
        let sent = async {
            let answer = self.send(request).await;
            match (&answer, fault.get()) {
                // The service saw no more than that its request broke.
                (Err(_), Some(reason)) => Err(reason.clone()),
                (Ok(response), Some(reason)) if Status::from_header_map(response.headers()).is_some() => {
                    Err(reason.clone())
                }
                _ => answer,
            }
        };
        match self.cut(until) {
            None => sent.await,
            Some(cut) => tokio::select! {
                answer = sent => answer,
                reason = cut => Err(reason.into()),
            },
        }
    }

    fn watch(&self, fault: Fault, until: Option<Instant>) -> Watch {
        Watch { fault, cut: self.cut(until), endless: self.method.server_streaming, limits: self.edge.limits }
    }

    /// What ends the call early: its deadline and, for streams, a drain.
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

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let channel = self.edge.backends.channel(self.method)?;
        channel.oneshot(request).await.map_err(|error| match Status::try_from_error(error.into()) {
            Ok(status) => settle(status),
            Err(error) => lost(error).into(),
        })
    }

    /// The name of the kept response that this request makes stale. A message that can't be read names none: no service
    /// accepts it.
    fn stale_key(&self, framed: &Bytes, packed: bool) -> Option<String> {
        let (cache, method) = (&self.edge.cache, self.method);
        if !cache.is_change(method) {
            return None;
        }
        cache.stale_key(method, &self.unpacked(framed, packed)?)
    }

    /// The message in its frame, if it can be decoded.
    fn unpacked(&self, framed: &Bytes, packed: bool) -> Option<Bytes> {
        let message = framed.slice(PREFIX.min(framed.len())..);
        match framed.first()? {
            0 => Some(message),
            &COMPRESSED if packed => gzip::inflate(&message, self.edge.limits.max_body).ok().map(Bytes::from),
            _ => None,
        }
    }
}

fn reason<R, A, B>(first: Either<(R, A), (R, B)>) -> R {
    match first {
        Either::Left((reason, _)) | Either::Right((reason, _)) => reason,
    }
}

/// Whether an answer has its status in its headers, with nothing to come.
pub fn is_over(headers: &HeaderMap) -> bool {
    headers.contains_key(super::call_body::STATUS)
}
