//! Records the results of stock commands in the order's trace.

use flotilla_messaging::Event;
use flotilla_telemetry::KeyValue;

use crate::domain::reservation::{Command, Rejection, Verdict};

/// Adds a command and its result to the order's trace, if the trace is sampled.
pub(super) fn decided(event: &Event, command: &Command, verdict: &Verdict) {
    let name = match command {
        Command::Reserve { .. } => "reserve stock",
        Command::Release { .. } => "release stock",
        Command::Commit { .. } => "commit stock",
    };
    let span = event.span(name);
    if !span.is_recorded() {
        return;
    }
    span.set("flotilla.order.id", command.order().to_string());
    if let Command::Reserve { lines, .. } = command {
        span.set("flotilla.order.lines", i64::try_from(lines.iter().count()).unwrap_or(i64::MAX));
    }
    match verdict {
        Verdict::Rejected { rejection, products } => {
            let (event, kind) = match rejection {
                Rejection::OutOfStock => ("short line", "out_of_stock"),
                Rejection::UnknownProduct => ("unknown product", "unknown_product"),
                Rejection::Released => ("released before", "released"),
            };
            for product in products {
                span.event(event, [KeyValue::new("product", product.to_string())]);
            }
            span.fail(kind, "nothing is held");
        }
        Verdict::TooEarly(why) => span.fail("too_early", *why),
        Verdict::Absurd(why) => span.fail("absurd", *why),
        Verdict::Released { held } => span.event("released", [KeyValue::new("held", *held)]),
        Verdict::Reserved { .. } => span.event("held", []),
        Verdict::Committed => span.event("shipped", []),
    }
}
