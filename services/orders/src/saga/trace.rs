//! Records a saga's transitions in its order's trace.

use flotilla_telemetry::{KeyValue, Kind, Span};
use uuid::Uuid;

use crate::domain::saga::{Decision, Message, State};

/// Adds a transition to the order's trace, if the trace is sampled.
pub(super) fn advanced(traceparent: Option<&str>, order: Uuid, before: State, message: Message, decision: &Decision) {
    let span = Span::follow(Kind::Internal, "advance saga", traceparent);
    if !span.is_recorded() {
        return;
    }
    span.set("flotilla.order.id", order.to_string());
    span.event("message", [KeyValue::new("name", message.name())]);
    if decision.next == before {
        span.event("unmoved", [KeyValue::new("state", before.name())]);
        return;
    }
    let (from, to) = (KeyValue::new("from", before.name()), KeyValue::new("to", decision.next.name()));
    span.event("state", [from, to]);
    span.set("flotilla.order.state", decision.next.name());
    if let Some(reason) = decision.next.end_reason() {
        span.set("flotilla.order.reason", reason);
    }
    if matches!(decision.next, State::Rejected(_)) {
        span.fail("rejected", decision.next.end_reason().unwrap_or("rejected"));
    }
}
