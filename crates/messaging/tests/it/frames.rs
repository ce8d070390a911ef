//! Frames: what goes in comes out, in CloudEvents' own format.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use flotilla_clock::Ids;
use flotilla_messaging::Event;
use flotilla_messaging::frame::{
    self, FrameBuilder, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, MAX_MESSAGE_EVENTS, Message, Packer,
};
use flotilla_proto::cloudevents::v1::cloud_event::Data;
use flotilla_proto::cloudevents::v1::cloud_event_attribute_value::Attr;
use flotilla_proto::cloudevents::v1::{CloudEvent, CloudEventBatch};
use proptest::prelude::*;
use prost::Message as _;
use uuid::Uuid;

use crate::fixtures::{KIND, SUBJECT, event, events};

fn any_event() -> impl Strategy<Value = Event> {
    let ids = (any::<u128>(), proptest::option::of(any::<u128>()));
    let texts = ("[a-z.]{1,40}", "[a-z/]{1,20}", ".{0,200}", ".{0,40}", proptest::option::of("[0-9a-f-]{55}"));
    let millis = || 0_u64..4_000_000_000_000;
    let times = (millis(), proptest::option::of(millis()));
    let rest = (any::<i64>(), times, proptest::collection::vec(any::<u8>(), 0..2_000));
    (ids, texts, rest).prop_map(
        |((id, cause), (kind, source, aggregate, partition_key, traceparent), (version, (millis, deadline), data))| {
            Event {
                id: Uuid::from_u128(id),
                kind,
                source,
                subject: SUBJECT.to_owned(),
                aggregate,
                aggregate_version: version,
                causation_id: cause.map(Uuid::from_u128),
                partition_key,
                traceparent,
                time: UNIX_EPOCH + Duration::from_millis(millis),
                deadline: deadline.map(|millis| UNIX_EPOCH + Duration::from_millis(millis)),
                data: Bytes::from(data),
            }
        },
    )
}

fn encode(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(event, "/flotilla/test", &[], &mut bytes);
    bytes
}

fn decode_all(payload: &Bytes) -> Vec<Event> {
    frame::decode(SUBJECT, payload).unwrap().into_iter().map(Result::unwrap).collect()
}

proptest! {
    #[test]
    fn an_event_survives_its_way_through_a_frame(event in any_event()) {
        let payload = Bytes::from(encode(&event));
        prop_assert_eq!(decode_all(&payload), vec![event]);
    }

    #[test]
    fn a_frame_is_a_batch_of_cloud_events_to_anyone_else(event in any_event()) {
        let batch = CloudEventBatch::decode(encode(&event).as_slice()).unwrap();
        prop_assert_eq!(batch.events.len(), 1);
        let found: &CloudEvent = &batch.events[0];
        prop_assert_eq!(&found.id, &event.id.to_string());
        prop_assert_eq!(&found.r#type, &event.kind);
        prop_assert_eq!(&found.spec_version, "1.0");
        let attribute = |name: &str| found.attributes.get(name).and_then(|value| value.attr.clone());
        prop_assert_eq!(attribute("aggregate"), Some(Attr::CeString(event.aggregate.clone())));
        prop_assert_eq!(attribute("aggregateversion"), Some(Attr::CeString(event.aggregate_version.to_string())));
        prop_assert_eq!(attribute("causationid"), event.causation_id.map(|id| Attr::CeString(id.to_string())));
        prop_assert!(matches!(attribute("time"), Some(Attr::CeTimestamp(_))));
        prop_assert_eq!(matches!(attribute("deadline"), Some(Attr::CeTimestamp(_))), event.deadline.is_some());
        prop_assert!(matches!(&found.data, Some(Data::BinaryData(data)) if *data == event.data));
    }

    #[test]
    fn what_others_encode_is_understood(event in any_event()) {
        let theirs = CloudEventBatch::decode(encode(&event).as_slice()).unwrap().encode_to_vec();
        prop_assert_eq!(decode_all(&Bytes::from(theirs)), vec![event]);
    }

    #[test]
    fn broken_bytes_are_an_error_and_no_panic(mut bytes in any_event().prop_map(|event| encode(&event)), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = frame::decode(SUBJECT, &Bytes::from(bytes));
    }

    #[test]
    fn any_bytes_are_an_error_or_a_batch(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = frame::decode(SUBJECT, &Bytes::from(bytes));
    }

    #[test]
    fn every_event_keeps_its_order_within_the_limits(
        transactions in proptest::collection::vec(proptest::collection::vec(1_usize..40_000, 1..8), 1..12),
    ) {
        let ids = Ids::system();
        let mut packer = Packer::default();
        let (mut sent, mut made) = (Vec::new(), Vec::new());
        for sizes in &transactions {
            let events: Vec<Event> = sizes.iter().enumerate().map(|(number, size)| {
                let subject = if number % 3 == 0 { "a" } else { "b" };
                Event { subject: subject.to_owned(), ..event(&ids, KIND, &"x".repeat(*size)) }
            }).collect();
            for frame in build(&ids, &events) {
                let decoded = frame::decode(&frame.subject, &frame.payload).unwrap();
                prop_assert_eq!(decoded.len(), frame.events);
                prop_assert!(frame.payload.len() <= MAX_FRAME_BYTES || frame.events == 1);
                packer.add(&frame.subject, frame.id, frame.events, &frame.payload);
                made.push((frame.id, frame.payload));
            }
            sent.extend(events);
        }
        let messages = packer.finish();
        let mut received: Vec<(String, Uuid)> = Vec::new();
        for Message { subject, frames, events, payload } in &messages {
            prop_assert!(payload.len() <= MAX_MESSAGE_BYTES || *events == 1);
            let mut rest = payload.clone();
            for part in frames {
                let frame = rest.split_to(part.bytes);
                prop_assert!(made.contains(&(part.id, frame)), "a frame is published as it stands");
            }
            prop_assert!(rest.is_empty());
            let decoded = frame::decode(subject, payload).unwrap();
            prop_assert_eq!(decoded.len(), *events);
            received.extend(decoded.into_iter().map(|event| event.unwrap()).map(|event| (event.subject, event.id)));
        }
        prop_assert_eq!(messages.iter().map(|message| message.frames.len()).sum::<usize>(), made.len());
        for subject in ["a", "b"] {
            let of = |(at, id): &(String, Uuid)| (at == subject).then_some(*id);
            let wanted: Vec<_> = sent.iter().filter(|event| event.subject == subject).map(|event| event.id).collect();
            prop_assert_eq!(received.iter().filter_map(of).collect::<Vec<_>>(), wanted);
        }
    }
}

fn build(ids: &Ids, events: &[Event]) -> Vec<frame::Frame> {
    let mut builder = FrameBuilder::new("/flotilla/test", ids, usize::MAX);
    events.iter().for_each(|event| builder.add(event).unwrap());
    builder.finish()
}

/// How many events each message has when each of the payloads is a frame of one event.
fn packed<'a>(payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<usize> {
    let mut packer = Packer::default();
    for payload in payloads {
        packer.add(SUBJECT, Uuid::from_u128(1), 1, payload);
    }
    packer.finish().iter().map(|message| message.events).collect()
}

#[test]
fn a_single_event_beyond_the_limit_goes_alone() {
    let ids = Ids::system();
    let sent = [10, MAX_MESSAGE_BYTES + 1, 10].map(|size| event(&ids, KIND, &"x".repeat(size)));
    let frames = build(&ids, &sent);
    assert_eq!(frames.iter().map(|frame| frame.events).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(packed(frames.iter().map(|frame| frame.payload.as_ref())), [1, 1, 1]);
}

#[test]
fn an_event_with_more_bytes_than_a_message_may_have_is_refused() {
    let ids = Ids::system();
    let (small, large) = (event(&ids, KIND, "x"), event(&ids, KIND, &"x".repeat(2_000)));
    let mut builder = FrameBuilder::new("/flotilla/test", &ids, 2_000);
    builder.add(&small).unwrap();
    let error = builder.add(&large).unwrap_err().to_string();
    assert!(error.contains(&large.id.to_string()) && error.contains("more than the 2000"), "{error}");
    let frames = builder.finish();
    assert_eq!((frames.len(), frames[0].events), (1, 1), "the other event is left");
    assert_eq!(decode_all(&frames[0].payload)[0].id, small.id);
}

#[test]
fn the_data_of_a_decoded_event_is_a_slice_of_the_payload() {
    let ids = Ids::system();
    let payload = Bytes::from(events(&ids, KIND, 2).iter().flat_map(encode).collect::<Vec<u8>>());
    let within = payload.as_ptr_range();
    for event in decode_all(&payload) {
        assert!(within.contains(&event.data.as_ptr()));
    }
}

#[test]
fn a_bad_event_leaves_its_frame_mates_intact() {
    let ids = Ids::system();
    let good = events(&ids, KIND, 2);
    let bad = CloudEventBatch { events: vec![CloudEvent { id: "not a uuid".to_owned(), ..CloudEvent::default() }] };
    let payload = Bytes::from([encode(&good[0]), bad.encode_to_vec(), encode(&good[1])].concat());
    let parts = frame::decode(SUBJECT, &payload).unwrap();
    assert!(parts[0].is_ok() && parts[2].is_ok());
    assert_eq!(parts[1].as_ref().unwrap_err().reason, "an id is not a UUID");
}

#[test]
fn a_message_of_too_many_events_is_undecodable_as_a_whole() {
    let empty = [0x0a, 0x00];
    for (events, wanted) in [(MAX_MESSAGE_EVENTS + 1, false), (200_000, false), (MAX_MESSAGE_EVENTS, true)] {
        let payload = Bytes::from(empty.repeat(events));
        match frame::decode(SUBJECT, &payload) {
            Ok(parts) => assert!(wanted && parts.len() == events, "{} parts", parts.len()),
            Err(broken) => {
                assert!(!wanted, "{}", broken.reason);
                assert_eq!(broken.bytes.as_ptr_range(), payload.as_ptr_range(), "the payload itself, not a copy");
                assert_eq!(broken.reason, "more than 1024 events in a message");
            }
        }
    }
}

#[test]
fn several_events_in_more_bytes_than_a_message_has_are_undecodable_as_a_whole() {
    let ids = Ids::system();
    let half = encode(&event(&ids, KIND, &"x".repeat(MAX_MESSAGE_BYTES / 2)));
    let broken = frame::decode(SUBJECT, &Bytes::from(half.repeat(2))).unwrap_err();
    assert_eq!(broken.reason, "2 events in a message of more than 65536 bytes");
    let alone = encode(&event(&ids, KIND, &"x".repeat(MAX_MESSAGE_BYTES * 2)));
    assert_eq!(decode_all(&Bytes::from(alone)).len(), 1, "a single larger event goes alone");
}

#[test]
fn a_frame_and_a_message_are_closed_when_they_are_full() {
    let ids = Ids::system();
    let small = Event { aggregate: String::new(), partition_key: String::new(), ..event(&ids, "k", "") };
    let frames = build(&ids, &vec![small; MAX_MESSAGE_EVENTS + 3]);
    let (last, full) = frames.split_last().unwrap();
    assert!(full.iter().all(|frame| frame.payload.len() <= MAX_FRAME_BYTES && frame.events == full[0].events));
    let fits = MAX_FRAME_BYTES / (full[0].payload.len() / full[0].events);
    assert_eq!((full[0].events, last.events), (fits, (MAX_MESSAGE_EVENTS + 3) % fits));
    let smallest: [&[u8]; 2 * MAX_MESSAGE_EVENTS + 3] = [&[0x0a, 0x00]; 2 * MAX_MESSAGE_EVENTS + 3];
    assert_eq!(packed(smallest), [MAX_MESSAGE_EVENTS, MAX_MESSAGE_EVENTS, 3]);
}
