//! A small HTTP client over both versions.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No test waits longer for one answer.
const DEADLINE: Duration = flotilla_testkit::TIMEOUT;

/// A request in the making.
#[derive(Debug, Clone)]
pub struct Call {
    address: SocketAddr,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    http2: bool,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn new(address: SocketAddr, line: &str) -> Self {
        let (method, path) = line.split_once(' ').unwrap();
        Self {
            address,
            method: method.parse().unwrap(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            http2: false,
        }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// Adds another value of a header.
    pub fn also(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").bytes(body.to_string())
    }

    pub fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Sends it, and waits for the headers of the answer.
    pub async fn open(self) -> http::Response<Incoming> {
        timeout(DEADLINE, self.connect_and_send()).await.expect("an answer in time")
    }

    async fn connect_and_send(self) -> http::Response<Incoming> {
        let io = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let uri = format!("http://{}{}", self.address, self.path);
        let mut request = Request::builder().method(self.method).uri(if self.http2 { uri } else { self.path });
        *request.headers_mut().unwrap() = self.headers;
        let mut request = request.body(Full::new(self.body)).unwrap();
        if self.http2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            request.headers_mut().insert(header::HOST, "gateway".parse().unwrap());
            let (mut sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
    }

    /// Sends it, and waits for the whole answer.
    pub async fn send(self) -> Reply {
        let (parts, body) = self.open().await.into_parts();
        let body = timeout(DEADLINE, body.collect()).await.expect("a whole answer in time").unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The problem that this must be, after a look at what every problem has.
    pub fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["requestId"], self.headers["x-request-id"].to_str().unwrap());
        problem
    }
}

/// Reads events from a response until `enough` says so or it ends.
pub async fn events(response: http::Response<Incoming>, enough: impl Fn(&str) -> bool) -> String {
    let mut body = response.into_body();
    let mut text = String::new();
    while !enough(&text) {
        match timeout(DEADLINE, body.frame()).await.expect("an event in time") {
            Some(Ok(frame)) => text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
            Some(Err(error)) => panic!("{error} after {text}"),
            None => break,
        }
    }
    text
}
