//! Records notices in the traces of their causes, without customer and text.

use flotilla_messaging::Event;

use crate::domain::notice::Notice;
use crate::storage::Delivery;

/// Adds a notice to the trace, and whether it was delivered, if the trace is sampled.
pub(super) fn noticed(event: &Event, notice: &Notice, delivery: Option<&Delivery>) {
    let span = event.span("record notice");
    if !span.is_recorded() {
        return;
    }
    span.set("flotilla.notice.kind", notice.kind.as_str());
    if let Some(order) = notice.order {
        span.set("flotilla.order.id", order.to_string());
    }
    match delivery {
        Some(delivery) => span.set("flotilla.delivery.id", delivery.id.to_string()),
        None => span.event("not wanted", []),
    }
}
