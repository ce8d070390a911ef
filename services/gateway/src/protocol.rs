//! The protocol of a request, determined by its content type and, for a method of the public API, by its HTTP method.

use flotilla_proto::policy::Idempotency;
use http::header::{ALLOW, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tonic::body::Body;

use crate::media_type::MediaType;
use crate::message::Codec;
use crate::problem::Problem;
use crate::routes::RpcMethod;

/// Content types that methods accept, for clients that sent another.
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const TYPES: HeaderValue = HeaderValue::from_static(
    "application/json, application/proto, application/connect+json, application/connect+proto, application/grpc, \
     application/grpc+json, application/grpc+proto, application/grpc-web, application/grpc-web+json, \
     application/grpc-web+proto, application/grpc-web-text, application/grpc-web-text+json, \
     application/grpc-web-text+proto",
);

/// The protocol of a request, and the method `M` that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol<M> {
    /// gRPC; without a method, it is for one of the gateway's own services.
    Grpc(Codec, Option<M>),
    /// gRPC-Web; the same.
    GrpcWeb(WebForm, Option<M>),
    /// Connect, unary, by POST.
    ConnectUnary(Codec, M),
    /// Connect, unary, by GET.
    ConnectGet(M),
    /// Connect, streams of length-prefixed messages.
    ConnectStream(Codec, M),
    /// A method of the public API, called in an unsupported way.
    Unsupported(Unsupported, M),
    /// REST or a page.
    Rest,
}

/// How gRPC-Web bodies are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebForm {
    /// Their messages.
    pub codec: Codec,
    /// Whether the body is base64.
    pub text: bool,
}

/// The protocol that a content type names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Grpc(Codec),
    GrpcWeb(WebForm),
    ConnectUnary(Codec),
    ConnectStream(Codec),
}

/// Why a method can't be called this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsupported {
    /// 405: another HTTP method is required.
    Verb {
        /// Whether GET is also allowed.
        get: bool,
    },
    /// 415.
    MediaType,
}

/// The properties of a method that matter here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target {
    /// Whether either side is a stream.
    pub streaming: bool,
    /// Whether it only reads.
    pub reads: bool,
}

impl Target {
    /// The properties of a method.
    pub fn of(method: &RpcMethod) -> Self {
        let streaming = method.client_streaming || method.server_streaming;
        Self { streaming, reads: method.idempotency == Idempotency::NoSideEffects }
    }
}

impl<M> Protocol<M> {
    /// The protocol of a request, for a method or for a path that isn't a method of the public API.
    pub fn of(verb: &Method, headers: &HeaderMap, method: Option<(M, Target)>) -> Self {
        let essence = essence(headers);
        let form = Form::of(&essence);
        let is_grpc = essence.starts_with("application/grpc");
        let Some((method, target)) = method else {
            // The gateway's own services are called by gRPC, and gRPC clients get gRPC errors.
            return match form {
                Some(Form::Grpc(codec)) if verb == Method::POST => Self::Grpc(codec, None),
                Some(Form::GrpcWeb(form)) if verb == Method::POST => Self::GrpcWeb(form, None),
                _ => Self::Rest,
            };
        };
        let gettable = target.reads && !target.streaming;
        if verb == Method::GET && !is_grpc && gettable {
            return Self::ConnectGet(method);
        }
        if verb != Method::POST {
            return Self::Unsupported(Unsupported::Verb { get: gettable }, method);
        }
        match form {
            Some(Form::Grpc(codec)) => Self::Grpc(codec, Some(method)),
            Some(Form::GrpcWeb(form)) => Self::GrpcWeb(form, Some(method)),
            // A unary content type can't carry a stream, and a streaming one can't carry a unary call.
            Some(Form::ConnectUnary(codec)) if !target.streaming => Self::ConnectUnary(codec, method),
            Some(Form::ConnectStream(codec)) if target.streaming => Self::ConnectStream(codec, method),
            Some(Form::ConnectUnary(_) | Form::ConnectStream(_)) | None => {
                Self::Unsupported(Unsupported::MediaType, method)
            }
        }
    }
}

impl Form {
    fn of(essence: &str) -> Option<Self> {
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
                let web = |text| move |codec| Self::GrpcWeb(WebForm { codec, text });
                if let Some(suffix) = rest.strip_prefix("grpc-web-text") {
                    return codec(suffix).map(web(true));
                }
                if let Some(suffix) = rest.strip_prefix("grpc-web") {
                    return codec(suffix).map(web(false));
                }
                codec(rest.strip_prefix("grpc")?).map(Self::Grpc)
            }
        }
    }
}

impl Unsupported {
    /// The response: plain HTTP, because the client's protocol is unknown.
    pub fn into_response(self, id: &str) -> Response<Body> {
        match self {
            Self::Verb { get } => {
                let methods: &[Method] = if get { &[Method::GET, Method::POST] } else { &[Method::POST] };
                let mut response = Problem::other_methods(methods).into_response(id);
                // Unlike in REST, HEAD isn't supported with GET.
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

/// The content type. JSON that isn't UTF-8 is another type.
fn essence(headers: &HeaderMap) -> String {
    let MediaType { essence, utf8 } = MediaType::of(headers);
    if !utf8 && essence.ends_with("json") { String::new() } else { essence }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    fn of(verb: &str, content_type: &str, target: Option<Target>) -> Protocol<()> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
        Protocol::of(&verb.parse().unwrap(), &headers, target.map(|target| ((), target)))
    }

    #[test]
    fn a_methods_protocol_follows_from_its_content_type() {
        let unary = Some(Target::default());
        let stream = Some(Target { streaming: true, reads: true });
        let web = |codec, text| Protocol::GrpcWeb(WebForm { codec, text }, Some(()));
        let wrong_type = Protocol::Unsupported(Unsupported::MediaType, ());
        for (content_type, target, expected) in [
            ("application/grpc", unary, Protocol::Grpc(Codec::Proto, Some(()))),
            ("application/grpc+proto; x=y", stream, Protocol::Grpc(Codec::Proto, Some(()))),
            ("application/grpc+json", unary, Protocol::Grpc(Codec::Json, Some(()))),
            ("application/grpc+foo", unary, wrong_type),
            ("application/grpc-web", unary, web(Codec::Proto, false)),
            ("application/grpc-web+json", stream, web(Codec::Json, false)),
            ("application/grpc-web-text", unary, web(Codec::Proto, true)),
            ("Application/JSON; charset=UTF-8", unary, Protocol::ConnectUnary(Codec::Json, ())),
            ("application/json; charset=latin1", unary, wrong_type),
            ("application/proto", unary, Protocol::ConnectUnary(Codec::Proto, ())),
            ("application/json", stream, wrong_type),
            ("application/connect+json", stream, Protocol::ConnectStream(Codec::Json, ())),
            ("application/connect+proto", unary, wrong_type),
            ("image/jpeg", unary, wrong_type),
        ] {
            assert_eq!(of("POST", content_type, target), expected, "{content_type}");
        }
    }

    #[test]
    fn only_methods_that_read_can_be_called_by_get() {
        let unsupported = |get| Protocol::Unsupported(Unsupported::Verb { get }, ());
        assert_eq!(of("GET", "text/plain", Some(Target { streaming: false, reads: true })), Protocol::ConnectGet(()));
        assert_eq!(of("GET", "text/plain", Some(Target { streaming: true, reads: true })), unsupported(false));
        assert_eq!(of("GET", "text/plain", Some(Target::default())), unsupported(false));
        assert_eq!(of("DELETE", "application/json", Some(Target { streaming: false, reads: true })), unsupported(true));
        assert_eq!(of("DELETE", "application/grpc", Some(Target::default())), unsupported(false));
    }

    #[test]
    fn a_path_without_a_method_is_rest_unless_the_content_type_is_grpc() {
        assert_eq!(of("POST", "application/json", None), Protocol::Rest);
        assert_eq!(of("POST", "application/proto", None), Protocol::Rest);
        assert_eq!(of("POST", "application/grpc", None), Protocol::Grpc(Codec::Proto, None));
        assert_eq!(of("GET", "application/grpc", None), Protocol::Rest);
        assert_eq!(
            of("POST", "application/grpc-web", None),
            Protocol::GrpcWeb(WebForm { codec: Codec::Proto, text: false }, None)
        );
    }
}
