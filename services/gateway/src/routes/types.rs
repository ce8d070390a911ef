//! What the route table holds: methods, and the bindings that lead to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flotilla_proto::policy::{Access, Idempotency};
use flotilla_transcode::{FieldPath, Reader, Renderer, Schema, wire};
use http::Method as HttpMethod;
use http::uri::PathAndQuery;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use super::annotations::{comment, rpc_name, summary};
use super::error::RouteError;
use super::fields::{BodyRule, Special};
use super::template::Template;

/// The expected response size of a method that hasn't been called yet.
const FIRST_EXPECTED: usize = 64 * 1024;
/// The largest response size that is expected.
const LARGEST_EXPECTED: usize = 1024 * 1024;

/// A public method of a service behind the gateway.
#[derive(Debug)]
pub struct RpcMethod {
    /// `package.Service/Method`.
    pub name: String,
    /// `/package.Service/Method`, as gRPC calls it.
    pub path: PathAndQuery,
    /// Name of the service that answers: the second part of the package.
    pub backend: String,
    /// Request message.
    pub input: MessageDescriptor,
    /// Response message.
    pub output: MessageDescriptor,
    /// Request message in the [`RouteTable::schema`].
    pub input_index: usize,
    /// Response message there.
    pub output_index: usize,
    /// Whether responses are a stream.
    pub server_streaming: bool,
    /// Whether requests are a stream.
    pub client_streaming: bool,
    /// The fields that identify what a stream is about: all text fields except the resume token.
    pub subject: Vec<u32>,
    /// Who may call it: never [`Access::Peer`].
    pub access: Access,
    /// The effect of repeating a call.
    pub idempotency: Idempotency,
    /// The expected size of its responses, as far as they are collected here.
    pub answers: AnswerSize,
    /// First sentence of its comment.
    pub summary: String,
    /// Its comment.
    pub comment: String,
    /// Reads its requests from JSON.
    pub reader: Reader,
    /// Writes its responses as JSON.
    pub renderer: Renderer,
}

/// One way to call a method over HTTP.
#[derive(Debug)]
pub struct Binding {
    /// The method.
    pub method: Arc<RpcMethod>,
    /// HTTP method.
    pub verb: HttpMethod,
    /// The template as written: the route's name in metrics.
    pub pattern: String,
    /// The template in its parts.
    pub template: Template,
    /// Fields taken from the path: each with its segments.
    pub variables: Vec<(FieldPath, std::ops::Range<usize>)>,
    /// The content of the body.
    pub body: BodyRule,
    /// Fields that headers set.
    pub special: Special,
    /// The field of the response message that is the response body, if not all of it.
    pub response_body: Option<String>,
    /// Writes the method's responses.
    pub renderer: Renderer,
}

impl RpcMethod {
    pub(super) fn new(
        descriptor: &MethodDescriptor,
        access: Access,
        idempotency: Idempotency,
        schema: &Arc<Schema>,
        (input_index, output_index): (usize, usize),
    ) -> Result<Self, RouteError> {
        let name = rpc_name(descriptor);
        let path = PathAndQuery::try_from(format!("/{name}")).map_err(|_| RouteError::Option(name.clone()))?;
        let comment = comment(&descriptor.parent_file(), descriptor.path());
        Ok(Self {
            path,
            backend: name.split('.').nth(1).unwrap_or_default().to_owned(),
            input: descriptor.input(),
            output: descriptor.output(),
            input_index,
            output_index,
            server_streaming: descriptor.is_server_streaming(),
            client_streaming: descriptor.is_client_streaming(),
            subject: subject(&descriptor.input()),
            access,
            idempotency,
            answers: AnswerSize::default(),
            summary: summary(&comment),
            comment,
            reader: Reader::new(schema, input_index),
            renderer: Renderer::new(schema, output_index, None),
            name,
        })
    }

    /// The resource that a stream with this encoded request is about, such as an order's name.
    pub fn watched(&self, request: &[u8]) -> String {
        let text = |number: &u32| wire::text(request, &[*number]).unwrap_or_default();
        self.subject.iter().map(text).collect::<Vec<_>>().join("\n")
    }
}

/// About the size of the largest recent response, in bytes: what to reserve for the next one.
#[derive(Debug)]
pub struct AnswerSize(AtomicUsize);

impl Default for AnswerSize {
    fn default() -> Self {
        Self(AtomicUsize::new(FIRST_EXPECTED))
    }
}

impl AnswerSize {
    /// The size to expect.
    pub fn expected(&self) -> usize {
        self.0.load(Ordering::Relaxed).min(LARGEST_EXPECTED)
    }

    /// Records the size of a response. A large one is remembered for a few smaller ones after it.
    pub fn note(&self, bytes: usize) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(bytes.max(before - before / 16), Ordering::Relaxed);
    }
}

/// The text fields of a request except the resume token.
fn subject(request: &MessageDescriptor) -> Vec<u32> {
    let is_subject =
        |field: &FieldDescriptor| field.kind() == Kind::String && !field.is_list() && field.name() != "resume_token";
    request.fields().filter(is_subject).map(|field| field.number()).collect()
}
