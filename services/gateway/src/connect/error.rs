//! Errors in Connect's form: a JSON object with code, message and details, and for unary calls an HTTP status.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use flotilla_wire::prefixed;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::Serialize;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::message::Codec;
use crate::metadata;
use crate::reply::full;

/// What precedes a type's name in `Any`.
const TYPE_PREFIX: char = '/';
/// Flag of the frame that ends a stream.
pub const END_OF_STREAM: u8 = 2;

/// `google.rpc.Status`, as `grpc-status-details-bin` holds it.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<DetailJson>,
}

#[derive(Serialize)]
struct DetailJson {
    r#type: String,
    value: String,
    /// The same as readable JSON, if the type is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct EndJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, Vec<String>>,
}

impl<'a> ErrorJson<'a> {
    fn new(status: &'a Status, pool: Option<&DescriptorPool>) -> Self {
        // Details that can't be decoded are dropped.
        let details = RpcStatus::decode(status.details()).unwrap_or_default().details;
        Self {
            code: code_name(status.code()),
            message: status.message(),
            details: details.into_iter().map(|detail| DetailJson::new(&detail, pool)).collect(),
        }
    }
}

impl DetailJson {
    fn new(detail: &Detail, pool: Option<&DescriptorPool>) -> Self {
        let name = detail.type_url.rsplit(TYPE_PREFIX).next().unwrap_or_default();
        let known = pool.and_then(|pool| pool.get_message_by_name(name));
        let debug = known.and_then(|message| DynamicMessage::decode(message, detail.value.clone()).ok());
        Self {
            r#type: name.to_owned(),
            value: STANDARD_NO_PAD.encode(&detail.value),
            debug: debug.and_then(|message| serde_json::to_value(message).ok()),
        }
    }
}

/// A unary call's error without metadata.
pub fn unary_error(status: &Status) -> Response<Body> {
    unary(status, None)
}

/// A unary call's error; details whose type is in `pool` are also written as readable JSON.
pub fn unary(status: &Status, pool: Option<&DescriptorPool>) -> Response<Body> {
    let json = serde_json::to_vec(&ErrorJson::new(status, pool)).expect("strings and JSON can be written as JSON");
    let mut response = full(json.into());
    *response.status_mut() = http_status(status.code());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A stream's error before its first message.
pub fn stream_error(status: &Status, codec: Codec, pool: Option<&DescriptorPool>) -> Response<Body> {
    stream_over(failed(status, pool), codec)
}

/// A stream that ends before its first message.
pub fn stream_over(end: Bytes, codec: Codec) -> Response<Body> {
    let mut response = full(end);
    response.headers_mut().insert(CONTENT_TYPE, content_type(codec));
    response
}

/// The content type of streams.
pub fn content_type(codec: Codec) -> HeaderValue {
    HeaderValue::from_static(match codec {
        Codec::Proto => "application/connect+proto",
        Codec::Json => "application/connect+json",
    })
}

/// The last frame of a stream, with the status and metadata of these trailers.
pub fn end(trailers: &HeaderMap, pool: Option<&DescriptorPool>) -> Bytes {
    let status =
        Status::from_header_map(trailers).unwrap_or_else(|| Status::unknown("the stream ended without a status"));
    ended(&status, &metadata::response(trailers), pool)
}

/// The last frame of a stream that ends with an error of the gateway.
pub fn failed(status: &Status, pool: Option<&DescriptorPool>) -> Bytes {
    ended(status, &HeaderMap::new(), pool)
}

fn ended(status: &Status, passed: &HeaderMap, pool: Option<&DescriptorPool>) -> Bytes {
    let values = |name| {
        let values = passed.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    };
    let json = EndJson {
        error: (status.code() != Code::Ok).then(|| ErrorJson::new(status, pool)),
        metadata: passed.keys().map(|name| (name.as_str(), values(name))).collect(),
    };
    prefixed(END_OF_STREAM, &serde_json::to_vec(&json).expect("strings and JSON can be written as JSON"))
}

/// The name of a code as Connect writes it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Cancelled => "canceled",
        // `OK` is no error; a service that sends it as one violates the protocol.
        Code::Ok | Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

/// The HTTP status of a unary call's error: Connect has its own table.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
    }
}

#[cfg(test)]
mod tests {
    use flotilla_rpc::RpcError;
    use flotilla_wire::PREFIX;
    use serde_json::{Value, json};

    use super::*;

    fn trailers(status: &Status) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers).unwrap();
        trailers
    }

    #[test]
    fn an_error_has_code_message_and_details() {
        let status = Status::from(RpcError::new(Code::Aborted, "TOTAL_CHANGED", "the total has changed"));
        let json_error = serde_json::to_value(ErrorJson::new(&status, None)).unwrap();
        assert_eq!((&json_error["code"], &json_error["message"]), (&json!("aborted"), &json!("the total has changed")));
        let detail = &json_error["details"][0];
        assert_eq!(detail["type"], "google.rpc.ErrorInfo");
        let value = STANDARD_NO_PAD.decode(detail["value"].as_str().unwrap()).unwrap();
        assert!(String::from_utf8_lossy(&value).contains("TOTAL_CHANGED"));
        assert!(detail.get("debug").is_none(), "the type is unknown");
        assert_eq!(unary_error(&status).status(), 409);
    }

    #[test]
    fn a_detail_of_a_known_type_is_also_readable_json() {
        let pool = flotilla_proto::descriptors::pool().unwrap();
        let order = flotilla_proto::orders::v1::GetOrderRequest { name: "orders/o".into() };
        let detail = Detail {
            type_url: "type.googleapis.com/flotilla.orders.v1.GetOrderRequest".into(),
            value: order.encode_to_vec().into(),
        };
        let json_error = serde_json::to_value(DetailJson::new(&detail, Some(&pool))).unwrap();
        assert_eq!(json_error["debug"], json!({"name": "orders/o"}));
    }

    #[test]
    fn the_end_of_a_stream_has_its_error_and_its_trailers() {
        let mut ended = trailers(&Status::not_found("no such order"));
        ended.append("x-own", HeaderValue::from_static("a"));
        ended.append("x-own", HeaderValue::from_static("b"));
        let frame = end(&ended, None);
        assert_eq!(frame[0], END_OF_STREAM);
        let json_error: Value = serde_json::from_slice(&frame[PREFIX..]).unwrap();
        assert_eq!(
            json_error,
            json!({"error": {"code": "not_found", "message": "no such order"}, "metadata": {"x-own": ["a", "b"]}})
        );
        let well: Value = serde_json::from_slice(&end(&trailers(&Status::ok("")), None)[PREFIX..]).unwrap();
        assert_eq!(well, json!({}));
        let lost: Value = serde_json::from_slice(&end(&HeaderMap::new(), None)[PREFIX..]).unwrap();
        assert_eq!(lost["error"]["code"], "unknown");
    }
}
