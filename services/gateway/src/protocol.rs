//! Which protocol a request speaks: told by its content type and, where it is for a method of the public API, by its
//! HTTP method.

use http::header::{ALLOW, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tonic::Status;
use tonic::body::Body;

use crate::connect;
use crate::grpc_web;
use crate::message::Codec;
use crate::problem::Problem;

/// Content types that methods take, for a client that sent another.
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const TYPES: HeaderValue = HeaderValue::from_static(
    "application/json, application/proto, application/connect+json, application/connect+proto, application/grpc, \
     application/grpc+json, application/grpc+proto, application/grpc-web, application/grpc-web+json, \
     application/grpc-web+proto, application/grpc-web-text, application/grpc-web-text+json, \
     application/grpc-web-text+proto",
);

/// What a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc(Codec),
    /// gRPC-Web; `text`: in base64.
    GrpcWeb {
        /// How messages are written.
        codec: Codec,
        /// Whether bodies are base64.
        text: bool,
    },
    /// Connect, one message each way.
    ConnectUnary(Codec),
    /// Connect, one message each way, asked for in the URL.
    ConnectGet,
    /// Connect, streams in frames.
    ConnectStream(Codec),
    /// A method of the public API, asked in a way that it can't be.
    Unspoken(Unspoken),
    /// HTTP.
    Rest,
}

/// Why a method can't be called so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unspoken {
    /// 405; whether GET would do.
    Verb {
        /// It would.
        get: bool,
    },
    /// 415.
    MediaType,
}

/// A method, as far as it matters here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target {
    /// Whether either side is a stream.
    pub streaming: bool,
    /// Whether it only reads.
    pub reads: bool,
}

impl Protocol {
    /// The protocol of a request for `target`, or for something that is no method of the public API.
    pub fn of(verb: &Method, headers: &HeaderMap, target: Option<Target>) -> Self {
        let essence = essence(headers);
        let by_type = Self::by_type(&essence);
        let is_grpc = essence.starts_with("application/grpc");
        let Some(target) = target else {
            // The system's services are called by gRPC, and whoever speaks it gets its errors.
            return by_type.filter(|_| is_grpc && verb == Method::POST).unwrap_or(Self::Rest);
        };
        match by_type {
            _ if verb == Method::GET && !is_grpc && target.reads && !target.streaming => Self::ConnectGet,
            _ if verb != Method::POST => Self::Unspoken(Unspoken::Verb { get: target.reads && !target.streaming }),
            // One message alone is no stream, and frames are no single message.
            Some(Self::ConnectUnary(_)) if target.streaming => Self::Unspoken(Unspoken::MediaType),
            Some(Self::ConnectStream(_)) if !target.streaming => Self::Unspoken(Unspoken::MediaType),
            Some(protocol) => protocol,
            None => Self::Unspoken(Unspoken::MediaType),
        }
    }

    fn by_type(essence: &str) -> Option<Self> {
        let codec = |suffix: &str| match suffix {
            "" | "+proto" => Some(Codec::Proto),
            "+json" => Some(Codec::Json),
            _ => None,
        };
        let rest = essence.strip_prefix("application/")?;
        match rest {
            "proto" => Some(Self::ConnectUnary(Codec::Proto)),
            "json" => Some(Self::ConnectUnary(Codec::Json)),
            "connect+proto" => Some(Self::ConnectStream(Codec::Proto)),
            "connect+json" => Some(Self::ConnectStream(Codec::Json)),
            _ => {
                if let Some(suffix) = rest.strip_prefix("grpc-web-text") {
                    return codec(suffix).map(|codec| Self::GrpcWeb { codec, text: true });
                }
                if let Some(suffix) = rest.strip_prefix("grpc-web") {
                    return codec(suffix).map(|codec| Self::GrpcWeb { codec, text: false });
                }
                codec(rest.strip_prefix("grpc")?).map(Self::Grpc)
            }
        }
    }

    /// An error as this protocol tells it.
    pub fn error(self, status: Status, id: &str) -> Response<Body> {
        match self {
            Self::Grpc(_) => status.into_http(),
            Self::GrpcWeb { codec, text } => grpc_web::error(&status, codec, text),
            Self::ConnectUnary(_) | Self::ConnectGet => connect::unary_error(&status),
            Self::ConnectStream(codec) => connect::stream_error(&status, codec),
            Self::Unspoken(_) | Self::Rest => Problem::from(status).into_response(id),
        }
    }
}

impl Unspoken {
    /// The answer: plain HTTP, for it isn't known what the client would understand.
    pub fn into_response(self, id: &str) -> Response<Body> {
        match self {
            Self::Verb { get } => {
                let methods: &[Method] = if get { &[Method::GET, Method::POST] } else { &[Method::POST] };
                let mut response = Problem::other_methods(methods).into_response(id);
                // HEAD, which REST has wherever it has GET, isn't there.
                let allow = if get { "GET, POST" } else { "POST" };
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
                response
            }
            Self::MediaType => {
                let mut response = Problem::media_type("one of those in accept-post").into_response(id);
                debug_assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
                response.headers_mut().insert(ACCEPT_POST, TYPES);
                response
            }
        }
    }
}

/// The content type without its parameters, in lower case. JSON that isn't UTF-8 is another type.
fn essence(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let foreign = parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset") && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    let essence = essence.trim().to_ascii_lowercase();
    if foreign && essence.ends_with("json") { String::new() } else { essence }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(verb: &str, content_type: &str, target: Option<Target>) -> Protocol {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
        Protocol::of(&verb.parse().unwrap(), &headers, target)
    }

    #[test]
    fn a_methods_protocol_is_told_by_its_content_type() {
        let unary = Some(Target::default());
        let stream = Some(Target { streaming: true, reads: true });
        let web = |codec, text| Protocol::GrpcWeb { codec, text };
        for (content_type, target, expected) in [
            ("application/grpc", unary, Protocol::Grpc(Codec::Proto)),
            ("application/grpc+proto; x=y", stream, Protocol::Grpc(Codec::Proto)),
            ("application/grpc+json", unary, Protocol::Grpc(Codec::Json)),
            ("application/grpc+foo", unary, Protocol::Unspoken(Unspoken::MediaType)),
            ("application/grpc-web", unary, web(Codec::Proto, false)),
            ("application/grpc-web+json", stream, web(Codec::Json, false)),
            ("application/grpc-web-text", unary, web(Codec::Proto, true)),
            ("Application/JSON; charset=UTF-8", unary, Protocol::ConnectUnary(Codec::Json)),
            ("application/json; charset=latin1", unary, Protocol::Unspoken(Unspoken::MediaType)),
            ("application/proto", unary, Protocol::ConnectUnary(Codec::Proto)),
            ("application/json", stream, Protocol::Unspoken(Unspoken::MediaType)),
            ("application/connect+json", stream, Protocol::ConnectStream(Codec::Json)),
            ("application/connect+proto", unary, Protocol::Unspoken(Unspoken::MediaType)),
            ("image/jpeg", unary, Protocol::Unspoken(Unspoken::MediaType)),
        ] {
            assert_eq!(of("POST", content_type, target), expected, "{content_type}");
        }
    }

    #[test]
    fn only_what_reads_can_be_got() {
        let unspoken = |get| Protocol::Unspoken(Unspoken::Verb { get });
        assert_eq!(of("GET", "text/plain", Some(Target { streaming: false, reads: true })), Protocol::ConnectGet);
        assert_eq!(of("GET", "text/plain", Some(Target { streaming: true, reads: true })), unspoken(false));
        assert_eq!(of("GET", "text/plain", Some(Target::default())), unspoken(false));
        assert_eq!(of("DELETE", "application/json", Some(Target { streaming: false, reads: true })), unspoken(true));
        assert_eq!(of("DELETE", "application/grpc", Some(Target::default())), unspoken(false));
    }

    #[test]
    fn what_is_no_method_is_rest_unless_it_speaks_grpc() {
        assert_eq!(of("POST", "application/json", None), Protocol::Rest);
        assert_eq!(of("POST", "application/proto", None), Protocol::Rest);
        assert_eq!(of("POST", "application/grpc", None), Protocol::Grpc(Codec::Proto));
        assert_eq!(of("GET", "application/grpc", None), Protocol::Rest);
        assert_eq!(of("POST", "application/grpc-web", None), Protocol::GrpcWeb { codec: Codec::Proto, text: false });
    }
}
