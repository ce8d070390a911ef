//! The suite's messages, as far as they are read or written here. Requests of all methods but `BidiStream` are alike.

use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
pub struct ServerRequest {
    #[prost(bool, tag = "4")]
    pub use_tls: bool,
    #[prost(uint32, tag = "6")]
    pub message_receive_limit: u32,
    #[prost(message, optional, tag = "7")]
    pub server_creds: Option<TlsCreds>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TlsCreds {
    #[prost(bytes = "bytes", tag = "1")]
    pub cert: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ServerResponse {
    #[prost(string, tag = "1")]
    pub host: String,
    #[prost(uint32, tag = "2")]
    pub port: u32,
    #[prost(bytes = "bytes", tag = "3")]
    pub pem_cert: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UnaryRequest {
    #[prost(message, optional, tag = "1")]
    pub definition: Option<UnaryDefinition>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamRequest {
    #[prost(message, optional, tag = "1")]
    pub definition: Option<StreamDefinition>,
    /// Of `BidiStream` alone; `ServerStream` has bytes in its place.
    #[prost(bool, tag = "2")]
    pub full_duplex: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ServerStreamRequest {
    #[prost(message, optional, tag = "1")]
    pub definition: Option<StreamDefinition>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UnaryDefinition {
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<Header>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub data: Option<Bytes>,
    #[prost(message, optional, tag = "3")]
    pub error: Option<Error>,
    #[prost(message, repeated, tag = "4")]
    pub trailers: Vec<Header>,
    #[prost(uint32, tag = "6")]
    pub delay_ms: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamDefinition {
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<Header>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub data: Vec<Bytes>,
    #[prost(uint32, tag = "3")]
    pub delay_ms: u32,
    #[prost(message, optional, tag = "4")]
    pub error: Option<Error>,
    #[prost(message, repeated, tag = "5")]
    pub trailers: Vec<Header>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Header {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "2")]
    pub value: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Error {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, optional, tag = "2")]
    pub message: Option<String>,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// The response of every method.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    #[prost(message, optional, tag = "1")]
    pub payload: Option<Payload>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
    #[prost(message, optional, tag = "2")]
    pub info: Option<RequestInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RequestInfo {
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<Header>,
    #[prost(int64, optional, tag = "2")]
    pub timeout_ms: Option<i64>,
    #[prost(message, repeated, tag = "3")]
    pub requests: Vec<Any>,
}
