//! Records charges and refunds in their order's trace, without amounts.

use flotilla_messaging::Event;
use flotilla_telemetry::{KeyValue, Span};

use super::commands::Target;
use crate::domain::{Charged, Refunded};

/// Adds a charge to the order's trace, if the trace is sampled.
pub(super) fn charged(event: &Event, target: Target, answer: Charged) {
    let span = begun(event, "charge payment", target);
    match answer {
        Charged::Paid(_) => span.event("paid", []),
        Charged::Declined(decline) => {
            if span.is_recorded() {
                let reason = decline.as_str_name().trim_start_matches("PAYMENT_DECLINE_").to_lowercase();
                span.event("declined", [KeyValue::new("reason", reason.clone())]);
                span.fail("declined", reason);
            }
        }
    }
}

/// Adds a refund to the order's trace.
pub(super) fn refunded(event: &Event, target: Target, answer: Refunded) {
    let span = begun(event, "refund payment", target);
    span.event("refunded", [KeyValue::new("returned", answer.returned.is_some())]);
}

fn begun(event: &Event, name: &'static str, target: Target) -> Span {
    let span = event.span(name);
    if span.is_recorded() {
        span.set("flotilla.order.id", target.order.to_string());
    }
    span
}
