//! A test service with all four kinds of calls, whose messages are text.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _};
use flotilla_proto::policy::{Access, Idempotency, MethodPolicy};
use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, future};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};
use tower::{Service, service_fn};

type Replies = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

/// The service. `One` answers `echo`, `Many` a reply for each letter, `Gather` with all messages joined, and `Talk`
/// answers each message as it comes.
#[derive(Debug, Clone)]
pub struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "toy.Echo";
}

pub fn methods() -> Vec<MethodPolicy> {
    [("One", false, false), ("Many", false, true), ("Gather", true, false), ("Talk", true, true)]
        .map(|(name, client_streaming, server_streaming)| MethodPolicy {
            service: Echo::NAME.to_owned(),
            method: name.to_owned(),
            path: format!("/{}/{name}", Echo::NAME),
            client_streaming,
            server_streaming,
            access: Some(if name == "Talk" { Access::Authenticated } else { Access::Public }),
            peers: Vec::new(),
            deadline: None,
            idempotency: Idempotency::NoSideEffects,
        })
        .to_vec()
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = Grpc::new(Text);
        async move {
            let response = match request.uri().path() {
                "/toy.Echo/One" => grpc.unary(service_fn(one), request).await,
                "/toy.Echo/Many" => grpc.server_streaming(service_fn(many), request).await,
                "/toy.Echo/Gather" => grpc.client_streaming(service_fn(gather), request).await,
                _ => grpc.streaming(service_fn(talk), request).await,
            };
            Ok(response)
        }
        .boxed()
    }
}

async fn one(request: Request<String>) -> Result<Response<String>, Status> {
    Ok(Response::new(format!("echo {}", request.into_inner())))
}

async fn many(request: Request<String>) -> Result<Response<Replies>, Status> {
    let letters: Vec<_> = request.into_inner().chars().map(|letter| Ok(letter.to_string())).collect();
    // The stream stays open until the server drains or the client ends it.
    Ok(Response::new(futures::stream::iter(letters).chain(futures::stream::pending()).boxed()))
}

async fn gather(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let all: Vec<String> = request.into_inner().try_collect().await?;
    Ok(Response::new(all.join(" ")))
}

async fn talk(request: Request<Streaming<String>>) -> Result<Response<Replies>, Status> {
    let answer = |message: String| {
        future::ready(if message == "bad" {
            Err(Status::invalid_argument("bad"))
        } else {
            Ok(format!("echo {message}"))
        })
    };
    Ok(Response::new(request.into_inner().and_then(answer).boxed()))
}

/// A codec of plain text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        String::from_utf8(bytes.to_vec()).map(Some).map_err(|_| Status::invalid_argument("not UTF-8"))
    }
}
