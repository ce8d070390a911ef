//! The trace that this task is part of goes on with its calls.

use http::{HeaderMap, HeaderValue};

use crate::layers::trace::TRACEPARENT_HEADER;

/// Sends the current span on, or else `fallback`, unless the call names a span of its own.
pub(crate) fn send_on(fallback: Option<&str>, headers: &mut HeaderMap) {
    if headers.contains_key(&TRACEPARENT_HEADER) {
        return;
    }
    let own = flotilla_telemetry::current_traceparent();
    if let Some(traceparent) = own.as_deref().or(fallback)
        && let Ok(value) = HeaderValue::from_str(traceparent)
    {
        headers.insert(TRACEPARENT_HEADER.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_goes_on_and_one_of_the_calls_own_stays() {
        let mut headers = HeaderMap::new();
        send_on(None, &mut headers);
        assert!(headers.is_empty());
        send_on(Some("00-1-2-01"), &mut headers);
        send_on(Some("00-3-4-01"), &mut headers);
        assert_eq!(headers["traceparent"], "00-1-2-01");
    }
}
