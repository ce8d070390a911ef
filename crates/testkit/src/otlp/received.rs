//! Received spans and log records in a form that is easy to test: ids as hexadecimal digits, attributes as text.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

/// Attributes by name.
type Attributes = BTreeMap<String, String>;

/// A span.
#[derive(Debug, Clone, Default)]
pub struct ReceivedSpan {
    /// `service.name` of its resource.
    pub service: String,
    /// All attributes of its resource.
    pub resource: Attributes,
    /// The name.
    pub name: String,
    /// `internal`, `server`, `client`, `producer` or `consumer`.
    pub kind: &'static str,
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
    /// 16 digits; `None` for a root.
    pub parent_id: Option<String>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its events, in order.
    pub events: Vec<ReceivedEvent>,
    /// Its links to other spans.
    pub links: Vec<ReceivedLink>,
    /// The message (possibly empty) if the span failed.
    pub status: Option<String>,
    /// When it began, since the epoch.
    pub start: Duration,
    /// When it ended, since the epoch.
    pub end: Duration,
}

/// An event of a span.
#[derive(Debug, Clone, Default)]
pub struct ReceivedEvent {
    /// The name.
    pub name: String,
    /// Its attributes.
    pub attributes: Attributes,
}

/// A link to another span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedLink {
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
}

/// A log record.
#[derive(Debug, Clone, Default)]
pub struct ReceivedLog {
    /// `service.name` of its resource.
    pub service: String,
    /// All attributes of its resource.
    pub resource: Attributes,
    /// `INFO` and the like.
    pub severity: String,
    /// The message.
    pub body: String,
    /// Its fields.
    pub attributes: Attributes,
    /// 32 digits; empty outside of any trace.
    pub trace_id: String,
    /// 16 digits; empty outside of any span.
    pub span_id: String,
}

impl ReceivedSpan {
    /// An attribute's text; empty if there is none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Whether this span has a link to `other`.
    #[must_use]
    pub fn links_to(&self, other: &Self) -> bool {
        self.links.iter().any(|link| link.trace_id == other.trace_id && link.span_id == other.span_id)
    }

    /// Whether `other` is the parent.
    #[must_use]
    pub fn is_child_of(&self, other: &Self) -> bool {
        self.trace_id == other.trace_id && self.parent_id.as_deref() == Some(other.span_id.as_str())
    }
}

pub(super) fn spans(request: ExportTraceServiceRequest) -> Vec<ReceivedSpan> {
    let mut all = Vec::new();
    for group in request.resource_spans {
        let resource = resource(group.resource);
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(read_span(span, &resource));
        }
    }
    all
}

pub(super) fn logs(request: ExportLogsServiceRequest) -> Vec<ReceivedLog> {
    let mut all = Vec::new();
    for group in request.resource_logs {
        let resource = resource(group.resource);
        for record in group.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
            all.push(read_log(record, &resource));
        }
    }
    all
}

fn read_span(span: Span, resource: &Attributes) -> ReceivedSpan {
    let status = span.status.filter(|status| status.code() == StatusCode::Error).map(|status| status.message);
    let kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"];
    let kind = usize::try_from(span.kind).ok().and_then(|kind| kinds.get(kind).copied());
    ReceivedSpan {
        service: resource.get("service.name").cloned().unwrap_or_default(),
        resource: resource.clone(),
        name: span.name,
        kind: kind.unwrap_or("unspecified"),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        attributes: attributes(span.attributes),
        events: span
            .events
            .into_iter()
            .map(|event| ReceivedEvent { name: event.name, attributes: attributes(event.attributes) })
            .collect(),
        links: span
            .links
            .into_iter()
            .map(|link| ReceivedLink { trace_id: hex(&link.trace_id), span_id: hex(&link.span_id) })
            .collect(),
        status,
        start: Duration::from_nanos(span.start_time_unix_nano),
        end: Duration::from_nanos(span.end_time_unix_nano),
    }
}

fn read_log(record: LogRecord, resource: &Attributes) -> ReceivedLog {
    ReceivedLog {
        service: resource.get("service.name").cloned().unwrap_or_default(),
        resource: resource.clone(),
        severity: record.severity_text,
        body: record.body.map(text).unwrap_or_default(),
        attributes: attributes(record.attributes),
        trace_id: hex(&record.trace_id),
        span_id: hex(&record.span_id),
    }
}

fn resource(resource: Option<Resource>) -> Attributes {
    attributes(resource.unwrap_or_default().attributes)
}

fn attributes(given: Vec<KeyValue>) -> Attributes {
    given.into_iter().map(|pair| (pair.key, pair.value.map(text).unwrap_or_default())).collect()
}

fn text(value: AnyValue) -> String {
    match value.value {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
