//! Deadlines: the shorter of the caller's timeout and the remaining time of the call being served, or else the default
//! of the method or the settings. The deadline is sent to the server and enforced here too.

use std::time::Duration;

use flotilla_call::Deadline;
use flotilla_wire::timeout;
use http::HeaderMap;

use super::{Layer, Outcome, Outgoing};
use crate::ClientSettings;
use crate::client::methods::Method;
use crate::client::outcome::{Failure, is_late};

/// Sends the call's timeout and returns its deadline. A stream has a deadline only if its caller sets one.
pub(crate) fn send_on(
    served: Option<Deadline>,
    method: &Method,
    settings: &ClientSettings,
    headers: &mut HeaderMap,
) -> Option<Deadline> {
    let (asked, left) = (timeout::read(headers), served.map(Deadline::remaining));
    let declared = || match method.deadline {
        Some(deadline) => Some(deadline),
        None if method.is_stream() => None,
        None => Some(settings.default_deadline.0),
    };
    let timeout = match (asked, left) {
        (Some(asked), Some(left)) if left < asked => left,
        (Some(asked), _) => return Some(Deadline::after(asked)),
        (None, Some(left)) => method.deadline.map_or(left, |declared| declared.min(left)),
        (None, None) => declared()?,
    };
    write(timeout, headers);
    Some(Deadline::after(timeout))
}

/// Sets how long the call may take.
pub(crate) fn write(timeout: Duration, headers: &mut HeaderMap) {
    headers.insert(timeout::TIMEOUT, timeout::value(timeout));
}

/// The layer.
pub(crate) struct Deadlines<S> {
    inner: S,
}

impl<S> Deadlines<S> {
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: Layer> Layer for Deadlines<S> {
    async fn call(&self, call: Outgoing) -> Outcome {
        let Some(deadline) = call.deadline else { return self.inner.call(call).await };
        match tokio::time::timeout_at(deadline.0, self.inner.call(call)).await {
            Ok(outcome) => outcome.map(|mut response| {
                response.body_mut().deadline = Some(deadline);
                response
            }),
            Err(_) => Err(Failure::late()),
        }
    }
}

/// Whether there is time to wait this long and call again.
pub(crate) fn leaves_time(deadline: Option<Deadline>, pause: Duration) -> bool {
    !is_late(deadline) && deadline.is_none_or(|deadline| deadline.remaining() > pause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::methods::Methods;

    fn sent(path: &str, asked: Option<u64>, served: Option<u64>) -> Option<u64> {
        let settings = ClientSettings::default();
        let methods = Methods::new(&settings, None, &[]);
        let mut headers = HeaderMap::new();
        if let Some(asked) = asked {
            write(Duration::from_secs(asked), &mut headers);
        }
        let served = served.map(|secs| Deadline::after(Duration::from_secs(secs)));
        let kept = send_on(served, methods.find(path), &settings, &mut headers);
        let sent = timeout::read(&headers);
        let seconds = |duration: Duration| duration.as_secs_f64().round() as u64;
        assert_eq!(sent.map(seconds), kept.map(|deadline| seconds(deadline.remaining())));
        sent.map(seconds)
    }

    #[test]
    fn the_shorter_of_the_requested_and_the_remaining_time_is_sent() {
        for (asked, served, expected) in [(None, Some(3), 3), (Some(1), Some(3), 1), (Some(5), Some(3), 3)] {
            assert_eq!(sent("/a/B", asked, served), Some(expected));
        }
    }

    #[test]
    fn a_method_has_a_default_deadline_and_a_stream_none() {
        assert_eq!(sent("/a/B", None, None), Some(10));
        assert_eq!(sent("/flotilla.orders.v1.OrderService/WatchOrder", None, None), None);
        assert_eq!(sent("/flotilla.orders.v1.OrderService/WatchOrder", Some(7), None), Some(7));
        let batch = "/flotilla.inventory.v1.CatalogService/BatchGetProducts";
        assert_eq!(sent(batch, None, None), Some(2));
        assert_eq!(sent(batch, None, Some(1)), Some(1));
        assert_eq!(sent(batch, None, Some(5)), Some(2));
    }
}
