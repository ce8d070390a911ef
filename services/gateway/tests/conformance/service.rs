//! The suite's service, a gRPC service like those of the fleet: it is called by the edge and knows of no other protocol.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, StreamingService};
use tonic::{Code, Status};

use crate::UNASKED;
use crate::messages::{
    Any, Error, Header, Payload, RequestInfo, Response, RpcStatus, ServerStreamRequest, StreamDefinition,
    StreamRequest, UnaryDefinition, UnaryRequest,
};

const PACKAGE: &str = "connectrpc.conformance.v1";
const INFO: &str = "type.googleapis.com/connectrpc.conformance.v1.ConformancePayload.RequestInfo";

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct Conformance {
    /// Largest message that it takes.
    pub limit: usize,
}

impl tower::Service<http::Request<Body>> for Conformance {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let limit = self.limit;
        Box::pin(async move {
            let known = ["Unary", "IdempotentUnary", "ClientStream", "ServerStream", "BidiStream"];
            let Some(method) = known.into_iter().find(|known| *known == name) else {
                return Ok(Status::unimplemented("not implemented").into_http());
            };
            let mut grpc = Grpc::new(RawCodec)
                .max_decoding_message_size(limit)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip);
            Ok(grpc.streaming(Method(method), request).await)
        })
    }
}

impl tonic::server::NamedService for Conformance {
    const NAME: &'static str = "connectrpc.conformance.v1.ConformanceService";
}

type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// One of its methods; to gRPC all of them are streams.
struct Method(&'static str);

impl StreamingService<Bytes> for Method {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = BoxFuture<'static, Result<tonic::Response<Answers>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        let (metadata, _, messages) = request.into_parts();
        let method = self.0;
        let seen = Seen { method, headers: metadata.into_headers(), requests: Vec::new() };
        Box::pin(async move {
            match method {
                "ServerStream" => server_stream(seen, messages).await,
                "BidiStream" => bidi_stream(seen, messages).await,
                _ => once(seen, messages).await,
            }
        })
    }
}

/// What has come in.
struct Seen {
    method: &'static str,
    headers: HeaderMap,
    requests: Vec<Any>,
}

impl Seen {
    fn note(&mut self, message: &Bytes) {
        let type_url = format!("type.googleapis.com/{PACKAGE}.{}Request", self.method);
        self.requests.push(Any { type_url, value: message.clone() });
    }

    fn info(&self) -> RequestInfo {
        RequestInfo {
            headers: listed(&self.headers),
            timeout_ms: timeout(&self.headers),
            requests: self.requests.clone(),
        }
    }

    /// An error that tells what was seen.
    fn error(&self, error: &Error) -> Status {
        let info = Any { type_url: INFO.to_owned(), value: self.info().encode_to_vec().into() };
        failed(error, Some(info))
    }
}

fn failed(error: &Error, info: Option<Any>) -> Status {
    let message = error.message.clone().unwrap_or_default();
    let details = error.details.iter().cloned().chain(info).collect();
    let status = RpcStatus { code: error.code, message: message.clone(), details };
    Status::with_details(Code::from_i32(error.code), message, status.encode_to_vec().into())
}

fn listed(headers: &HeaderMap) -> Vec<Header> {
    let values =
        |name| headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    headers.keys().map(|name| Header { name: name.to_string(), value: values(name).collect() }).collect()
}

fn timeout(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at(text.len() - 1);
    let count: i64 = digits.parse().ok()?;
    let milliseconds = match unit {
        "H" => count * 3_600_000,
        "M" => count * 60_000,
        "S" => count * 1000,
        "m" => count,
        "u" => count / 1000,
        _ => count / 1_000_000,
    };
    (i128::from(milliseconds) < UNASKED.as_millis().cast_signed()).then_some(milliseconds)
}

fn metadata(headers: &[Header]) -> MetadataMap {
    let mut map = HeaderMap::new();
    for header in headers {
        for value in &header.value {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(&header.name), HeaderValue::try_from(value)) {
                map.append(name, value);
            }
        }
    }
    MetadataMap::from_headers(map)
}

fn read<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn answer(data: Bytes, info: Option<RequestInfo>) -> Bytes {
    Response { payload: Some(Payload { data, info }) }.encode_to_vec().into()
}

/// A status with trailers, which ends a stream: also one that went well.
fn end(status: &Status, trailers: &[Header]) -> Status {
    let details = Bytes::copy_from_slice(status.details());
    Status::with_details_and_metadata(status.code(), status.message(), details, metadata(trailers))
}

async fn pause(milliseconds: u32) {
    tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
}

async fn once(mut seen: Seen, mut messages: Streaming<Bytes>) -> Result<tonic::Response<Answers>, Status> {
    let mut definition = None;
    while let Some(message) = messages.message().await? {
        if seen.requests.is_empty() {
            definition = read::<UnaryRequest>(message.clone())?.definition;
        }
        seen.note(&message);
    }
    let UnaryDefinition { headers, data, error, trailers, delay_ms } = definition.unwrap_or_default();
    pause(delay_ms).await;
    let mut results = Vec::new();
    match &error {
        Some(error) => results.push(Err(end(&seen.error(error), &trailers))),
        None => {
            results.push(Ok(answer(data.unwrap_or_default(), Some(seen.info()))));
            results.push(Err(end(&Status::new(Code::Ok, ""), &trailers)));
        }
    }
    let answers: Answers = Box::pin(futures::stream::iter(results));
    Ok(with(&headers, answers))
}

fn with(headers: &[Header], answers: Answers) -> tonic::Response<Answers> {
    let mut response = tonic::Response::new(answers);
    *response.metadata_mut() = metadata(headers);
    response
}

async fn server_stream(mut seen: Seen, mut messages: Streaming<Bytes>) -> Result<tonic::Response<Answers>, Status> {
    let message = messages.message().await?.ok_or_else(|| Status::unimplemented("a message is missing"))?;
    let definition = read::<ServerStreamRequest>(message.clone())?.definition.unwrap_or_default();
    seen.note(&message);
    let headers = definition.headers.clone();
    let (results, answers) = mpsc::channel(1);
    tokio::spawn(async move {
        let sent = rest(&seen, &definition, 0, &results).await;
        let _ = results.send(Err(sent)).await;
    });
    Ok(with(&headers, receiving(answers)))
}

fn receiving(answers: mpsc::Receiver<Result<Bytes, Status>>) -> Answers {
    futures::stream::unfold(answers, |mut answers| async move { Some((answers.recv().await?, answers)) }).boxed()
}

/// Sends the answers from number `first` on, and gives back how to end.
async fn rest(
    seen: &Seen,
    definition: &StreamDefinition,
    first: usize,
    results: &mpsc::Sender<Result<Bytes, Status>>,
) -> Status {
    for (number, data) in definition.data.iter().enumerate().skip(first) {
        pause(definition.delay_ms).await;
        let info = (number == 0).then(|| seen.info());
        if results.send(Ok(answer(data.clone(), info))).await.is_err() {
            return Status::cancelled("nobody listens");
        }
    }
    let status = match &definition.error {
        Some(error) if definition.data.is_empty() && first == 0 => seen.error(error),
        Some(error) => failed(error, None),
        None => Status::new(Code::Ok, ""),
    };
    end(&status, &definition.trailers)
}

async fn bidi_stream(mut seen: Seen, mut messages: Streaming<Bytes>) -> Result<tonic::Response<Answers>, Status> {
    let Some(message) = messages.message().await? else {
        return Ok(with(&[], Box::pin(futures::stream::empty())));
    };
    let request: StreamRequest = read(message.clone())?;
    let definition = request.definition.unwrap_or_default();
    seen.note(&message);
    if !request.full_duplex {
        // Over HTTP/1.1 an answer may not begin before the request has ended.
        while let Some(message) = messages.message().await? {
            seen.note(&message);
        }
    }
    let headers = definition.headers.clone();
    let (results, answers) = mpsc::channel(1);
    tokio::spawn(async move {
        let ended = if request.full_duplex {
            alternate(&mut seen, &definition, &mut messages, &results).await
        } else {
            rest(&seen, &definition, 0, &results).await
        };
        let _ = results.send(Err(ended)).await;
    });
    Ok(with(&headers, receiving(answers)))
}

/// Answers each request as it comes, the first of which is in `seen`.
async fn alternate(
    seen: &mut Seen,
    definition: &StreamDefinition,
    messages: &mut Streaming<Bytes>,
    results: &mpsc::Sender<Result<Bytes, Status>>,
) -> Status {
    let mut sent = 0;
    while let Some(data) = definition.data.get(sent) {
        let info = if sent == 0 {
            seen.info()
        } else {
            RequestInfo { requests: seen.requests.clone(), ..RequestInfo::default() }
        };
        pause(definition.delay_ms).await;
        if results.send(Ok(answer(data.clone(), Some(info)))).await.is_err() {
            return Status::cancelled("nobody listens");
        }
        sent += 1;
        seen.requests.clear();
        match messages.message().await {
            Ok(Some(message)) => seen.note(&message),
            Ok(None) => break,
            Err(status) => return status,
        }
    }
    rest(seen, definition, sent, results).await
}

/// Messages as they are.
#[derive(Debug, Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
