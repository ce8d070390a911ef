//! The trace of an encoded event, found without decoding it.

use bytes::Buf;

/// The attribute's key, as [`encode`](super::encode) writes it.
const KEY: &[u8] = b"traceparent";
/// Between key and text: the value's field and length, then the string's.
const BETWEEN: [u8; 4] = [0x12, 57, 0x1a, 55];
/// A `traceparent` of version 00.
const LENGTH: usize = 55;

/// The `traceparent` of an event as [`encode`](super::encode) made it, if its trace is sampled.
pub(crate) fn sampled_traceparent(encoded: &[u8]) -> Option<&str> {
    let mut rest = encoded;
    // The data may hold the same word: then it isn't followed by what follows a key.
    while let Some(found) = memchr::memmem::find(rest, KEY) {
        rest.advance(found + KEY.len());
        if let Some(text) = rest.strip_prefix(&BETWEEN).and_then(|text| text.get(..LENGTH)) {
            return std::str::from_utf8(text).ok().filter(|text| flotilla_telemetry::is_sampled(text));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests are told by a panic")]
mod tests {
    use std::time::UNIX_EPOCH;

    use uuid::Uuid;

    use super::*;
    use crate::event::Event;

    #[test]
    fn the_trace_of_an_encoded_event_is_found_if_it_is_sampled() {
        let message =
            flotilla_proto::google::r#type::Money { currency_code: "traceparent".to_owned(), ..Default::default() };
        let event = Event::on("a.b", Uuid::from_u128(1), &message, "things/traceparent".to_owned(), 1, UNIX_EPOCH);
        let found = |traceparent: Option<&str>| {
            let mut encoded = Vec::new();
            super::super::encode(&event.clone().traced(traceparent.map(str::to_owned)), "/a", &[], &mut encoded);
            sampled_traceparent(&encoded).map(str::to_owned)
        };
        let sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(found(Some(sampled)).as_deref(), Some(sampled));
        assert_eq!(found(Some(&sampled.replace("-01", "-00"))), None);
        assert_eq!(found(None), None);
    }
}
