//! Traces of a batch: one span for the batch, linked to all of its events, and one for each event in the event's own
//! trace, linked to the batch's span. Whatever a handler does for an event is a child of that event's span.
//!
//! Only events of sampled traces get spans; for a batch without any, only the last digits of each `traceparent` are
//! read.

use std::borrow::Cow;

use flotilla_telemetry::{KeyValue, Kind, Span};
use uuid::Uuid;

use super::batch::Batch;
use crate::event::Event;
use crate::spec::ConsumerSpec;

/// The spans of a batch.
#[derive(Default)]
pub(super) struct Spans {
    /// The batch's span; its statements are children of it.
    pub batch: Span,
    /// The spans of the sampled events.
    events: Vec<(Uuid, Span)>,
}

impl Spans {
    /// Starts the spans. From here on the batch's events name them as their parents.
    pub fn begin(spec: &ConsumerSpec, batch: &mut Batch) -> Self {
        let members = batch.events.iter().filter_map(|event| event.traceparent.as_deref());
        let span = Span::gather(Kind::Consumer, || format!("receive {}", spec.name), members);
        if !span.is_recorded() {
            return Self::default();
        }
        describe(&span, spec.name, "receive");
        span.set("messaging.destination.name", spec.stream);
        span.set("messaging.batch.message_count", i64::try_from(batch.len()).unwrap_or(i64::MAX));
        let mut events = Vec::new();
        for event in &mut batch.events {
            let process = process(event, spec.name, &span);
            if let Some(own) = process.traceparent() {
                event.traceparent = Some(own);
                events.push((event.id, process));
            }
        }
        Self { batch: span, events }
    }

    /// Whether this batch is traced.
    pub fn are_recorded(&self) -> bool {
        self.batch.is_recorded()
    }

    /// Records that the batch is retried.
    pub fn retried(&self, why: &dyn std::fmt::Display) {
        if self.are_recorded() {
            self.batch.event("retried", [KeyValue::new("reason", why.to_string())]);
        }
    }

    /// Records which events were duplicates, and which were parked and why.
    pub fn applied(&self, repeats: &[Uuid], aside: &[(Uuid, String)]) {
        let of = |id: &Uuid| self.events.iter().find(|(event, _)| event == id).map(|(_, span)| span);
        for span in repeats.iter().filter_map(of) {
            span.set("flotilla.repeat", true);
        }
        for (id, reason) in aside {
            if let Some(span) = of(id) {
                span.fail("parked", reason.clone());
            }
        }
    }
}

/// The span of handling one event, in the event's own trace.
pub(crate) fn process(event: &Event, consumer: &'static str, batch: &Span) -> Span {
    let Some(parent) = event.traceparent.as_deref().filter(|parent| flotilla_telemetry::is_sampled(parent)) else {
        return Span::none();
    };
    let span = Span::follow_linked(Kind::Consumer, name(&event.kind), Some(parent), batch);
    describe(&span, consumer, "process");
    if span.is_recorded() {
        span.set("messaging.destination.name", event.subject.clone());
        span.set("messaging.message.id", event.id.to_string());
        span.set("flotilla.event.type", event.kind.clone());
        span.set("flotilla.aggregate", event.aggregate.clone());
    }
    span
}

fn describe(span: &Span, consumer: &'static str, operation: &'static str) {
    span.set("messaging.system", "nats");
    span.set("messaging.operation.name", operation);
    span.set("messaging.operation.type", operation);
    span.set("messaging.consumer.group.name", consumer);
}

/// `process OrderPlaced`.
fn name(kind: &str) -> Cow<'static, str> {
    format!("process {}", kind.rsplit('.').next().unwrap_or(kind)).into()
}
