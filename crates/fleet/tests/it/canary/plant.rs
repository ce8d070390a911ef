//! Puts the marks into every input of a fleet, and keeps what is said to whoever sent them.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use flotilla_workload::client::{Api, Session};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, Value, prost::Message as _};
use tonic::{
    Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::marks::{CARD, EMAIL, HARMLESS, PASSWORD, TEXTS, TOKEN};
use crate::http;

/// Messages are no deeper than this where text is planted.
const DEPTH: u32 = 4;
/// A stream that has said nothing by then goes on in silence.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls every method that takes text, with each text in all its fields at once, then in one field at a time; as the
/// operator and as nobody. Returns what the refusals said.
pub async fn into_every_call(api: &Api, operator: &Session) -> Vec<String> {
    let pool = flotilla_proto::descriptors::pool().unwrap();
    let mut said = Vec::new();
    let services = pool.services().filter(|service| service.full_name().starts_with("flotilla."));
    for method in services.flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let fields = texts_of(&method.input(), DEPTH);
        for (number, text) in TEXTS.iter().enumerate() {
            for token in [Some(operator.authorization()), None] {
                said.extend(call(api, &method, fill(&method.input(), text, &|_| true, DEPTH), token).await);
            }
            // One at a time, since the first that is refused hides the others.
            for field in fields.iter().skip(number % 2) {
                let one = fill(&method.input(), text, &|name| name == field, DEPTH);
                said.extend(call(api, &method, one, Some(operator.authorization())).await);
            }
        }
    }
    said
}

/// The names of the fields that take text. A display name is content, which is stored and shown: it is planted by hand.
fn texts_of(message: &MessageDescriptor, depth: u32) -> Vec<String> {
    let mut names = Vec::new();
    for field in message.fields().filter(|field| field.name() != "display_name") {
        match field.kind() {
            Kind::String | Kind::Bytes => names.push(field.name().to_owned()),
            Kind::Message(inner) if depth > 0 => names.extend(texts_of(&inner, depth - 1)),
            _ => {}
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn fill(message: &MessageDescriptor, text: &str, wanted: &dyn Fn(&str) -> bool, depth: u32) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in message.fields().filter(|field| field.name() != "display_name" && !field.is_map()) {
        let value = match field.kind() {
            Kind::String if wanted(field.name()) => Value::String(text.to_owned()),
            Kind::Bytes if wanted(field.name()) => Value::Bytes(text.to_owned().into()),
            Kind::Message(inner) if depth > 0 => Value::Message(fill(&inner, text, wanted, depth - 1)),
            _ => continue,
        };
        filled.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
    }
    filled
}

async fn call(
    api: &Api,
    method: &MethodDescriptor,
    message: DynamicMessage,
    token: Option<tonic::metadata::AsciiMetadataValue>,
) -> Option<String> {
    let mut request = Request::new(message.encode_to_vec());
    request.metadata_mut().insert("x-request-id", HARMLESS.parse().unwrap());
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", token);
    }
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut client = tonic::client::Grpc::new(api.channel());
    client.ready().await.unwrap();
    let path = path.parse().unwrap();
    let answering = async {
        let mut stream = client.server_streaming(request, path, Raw).await?.into_inner();
        stream.message().await.map(drop)
    };
    let status = tokio::time::timeout(PATIENCE, answering).await.ok()?.err()?;
    Some(format!("{} {status:?} {}", method.full_name(), String::from_utf8_lossy(status.details())))
}

/// Messages as they are on the wire.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// Everything that HTTP has room for: paths, queries, headers, bodies that are whole, broken, foreign or too large.
pub async fn into_http(address: &str, token: &str) -> Vec<String> {
    let mut said = Vec::new();
    let escaped =
        TEXTS.map(|text| text.replace('%', "%25").replace(' ', "%20").replace('{', "%7B").replace('"', "%22"));
    for text in &escaped {
        for path in [
            format!("/v1/{text}"),
            format!("/v1/orders/{text}"),
            format!("/v1/users/{text}?updateMask={text}"),
            format!("/v1/orders?pageToken={text}&filter={text}&{text}=1&orderBy={text}"),
            format!("/v1/users?email={EMAIL}&password={PASSWORD}&token={TOKEN}&card={CARD}&filter={text}"),
            format!("/flotilla.orders.v1.OrderService/{text}"),
            format!("/{text}/{text}"),
        ] {
            for method in ["GET", "POST", "PATCH", "DELETE", "OPTIONS", "FETCH"] {
                said.push(http::send(address, method, &path, Some(token), &[("x-request-id", HARMLESS)], b"").await);
            }
        }
    }
    for text in TEXTS {
        let headers = [
            ("x-request-id", "canary.9c41e7@leak.example"),
            ("idempotency-key", text),
            ("user-agent", text),
            ("cookie", text),
            ("x-forwarded-for", text),
            ("traceparent", text),
            ("tracestate", text),
            ("baggage", text),
            ("b3", text),
            ("accept", text),
            ("if-none-match", text),
            ("origin", text),
            ("grpc-timeout", text),
            ("referer", "https://ann:cAnary-hunter-7f3a91@shop.example/?email=canary.9c41e7%40leak.example"),
        ];
        for header in headers {
            let order = b"{\"lines\":[]}";
            said.push(http::send(address, "POST", "/v1/orders", Some(token), &[header], order).await);
            said.push(http::send(address, "GET", "/v1/products", None, &[header], b"").await);
        }
        for credentials in [TOKEN, &format!("Bearer {TOKEN}"), &format!("Basic {TOKEN}"), text] {
            said.push(http::send(address, "GET", "/v1/orders", Some(credentials), &[], b"").await);
        }
    }
    for body in bodies() {
        for path in
            ["/v1/orders", "/v1/users", "/v1/auth:login", "/v1/auth:refresh", "/v1/products", "/v1/products:import"]
        {
            said.push(http::send(address, "POST", path, Some(token), &[("idempotency-key", HARMLESS)], &body).await);
        }
        for method in
            ["identity.v1.AuthService/Login", "identity.v1.UserService/CreateUser", "orders.v1.OrderService/PlaceOrder"]
        {
            let headers = [("connect-protocol-version", "1")];
            said.push(http::send(address, "POST", &format!("/flotilla.{method}"), Some(token), &headers, &body).await);
            let foreign = [("content-type", "text/xml")];
            said.push(http::send(address, "POST", &format!("/flotilla.{method}"), Some(token), &foreign, &body).await);
        }
    }
    // What succeeded answers with what was asked for, to who may see it.
    said.iter().filter(|answer| answer.status >= 400).map(|answer| format!("{answer:?}")).collect()
}

fn bodies() -> Vec<Vec<u8>> {
    let (text, wrapped) = (TEXTS[4], serde_json::to_string(TEXTS[4]).unwrap());
    let mut bodies: Vec<Vec<u8>> = [
        text.to_owned(),
        wrapped.clone(),
        format!("{{\"email\":\"{EMAIL}\",\"password\":\"{PASSWORD}\"}}"),
        format!("{{\"email\":\"{EMAIL}\",\"password\":\"{PASSWORD}\""),
        format!("{{\"email\":{CARD},\"password\":[\"{PASSWORD}\"]}}"),
        format!("{{\"refreshToken\":\"{TOKEN}\"}}"),
        format!("{{\"{EMAIL}\":1,\"lines\":{wrapped}}}"),
        format!("{{\"user\":{{\"email\":\"{EMAIL}@\",\"password\":\"{PASSWORD}\",\"role\":\"{EMAIL}\"}}}}"),
        format!("{{\"lines\":[{{\"product\":{wrapped},\"quantity\":{CARD}}}],\"requestId\":{wrapped}}}"),
        format!("{{\"lines\":[{{\"product\":\"products/{EMAIL}\",\"quantity\":1}}],\"expectedTotal\":{{\"currencyCode\":\"{EMAIL}\"}}}}"),
        format!("{{\"displayName\":1,\"price\":{{\"units\":\"{CARD}\",\"nanos\":\"{EMAIL}\"}}}}"),
    ]
    .map(String::into_bytes)
    .into();
    bodies.push([text.as_bytes(), b"\xff\xfe"].concat());
    bodies.push(text.repeat(6_000).into_bytes());
    bodies
}

/// The ports that only operators reach.
pub async fn into_admin(address: &str) -> Vec<String> {
    let mut said = Vec::new();
    for text in TEXTS {
        let body = serde_json::json!({"user": text, "module": text, "level": text, "for": text}).to_string();
        for path in ["/logging", "/config/reload", "/flags", "/config", "/faults/slow-database", "/nothing"] {
            for (method, body) in [("PUT", body.as_str()), ("POST", text), ("GET", "")] {
                let path = format!("{path}?password={PASSWORD}&email={EMAIL}");
                let headers = [("user-agent", text)];
                said.push(format!("{:?}", http::send(address, method, &path, None, &headers, body.as_bytes()).await));
            }
        }
    }
    said
}
