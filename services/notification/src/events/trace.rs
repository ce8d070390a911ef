//! Notices in the traces of what they tell of. Neither customer nor text is told.

use flotilla_messaging::Event;

use crate::domain::notice::Notice;
use crate::storage::Delivery;

/// Tells of a notice, and whether it was delivered; nothing where the trace isn't sampled.
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
