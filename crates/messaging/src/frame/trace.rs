//! Finds the traces of encoded events without decoding them.

/// The attribute's key as [`encode`](super::encode) writes it.
const KEY: &[u8] = b"traceparent";
/// Between key and text: the value's field and length, then the string's.
const BETWEEN: [u8; 4] = [0x12, 57, 0x1a, 55];
/// A `traceparent` of version 00.
const LENGTH: usize = 55;

/// The `traceparent`s of those events of a frame that are sampled, in the encoding of [`encode`](super::encode).
pub(crate) fn sampled_traceparents(payload: &[u8]) -> impl Iterator<Item = &str> {
    // The data may contain the same word, but then not followed by the bytes that follow a key.
    memchr::memmem::find_iter(payload, KEY).filter_map(|at| {
        let text = payload.get(at + KEY.len()..)?.strip_prefix(&BETWEEN)?.get(..LENGTH)?;
        std::str::from_utf8(text).ok().filter(|text| flotilla_telemetry::is_sampled(text))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests are told by a panic")]
mod tests {
    use std::time::UNIX_EPOCH;

    use uuid::Uuid;

    use super::*;
    use crate::event::Event;

    #[test]
    fn the_traces_of_encoded_events_are_found_if_they_are_sampled() {
        let message =
            flotilla_proto::google::r#type::Money { currency_code: "traceparent".to_owned(), ..Default::default() };
        let event = Event::on("a.b", Uuid::from_u128(1), &message, "things/traceparent".to_owned(), 1, UNIX_EPOCH);
        let sampled = |last: u8| format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333{last}-01");
        let traces = [Some(sampled(1)), None, Some(sampled(2).replace("-01", "-00")), Some(sampled(3))];
        let mut encoded = Vec::new();
        for trace in traces {
            super::super::encode(&event.clone().traced(trace), "/a", &[], &mut encoded);
        }
        assert_eq!(sampled_traceparents(&encoded).collect::<Vec<_>>(), [sampled(1), sampled(3)]);
    }
}
