//! Frames: what goes in comes out, in CloudEvents' own format.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use flotilla_clock::Ids;
use flotilla_messaging::Event;
use flotilla_messaging::frame::{self, MAX_FRAME_BYTES, MAX_FRAME_EVENTS, Packer};
use flotilla_proto::cloudevents::v1::cloud_event::Data;
use flotilla_proto::cloudevents::v1::cloud_event_attribute_value::Attr;
use flotilla_proto::cloudevents::v1::{CloudEvent, CloudEventBatch};
use proptest::prelude::*;
use prost::Message;
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
    fn packing_keeps_every_event_in_order_within_the_limit(sizes in proptest::collection::vec(1_usize..40_000, 1..40)) {
        let ids = Ids::system();
        let mut packer = Packer::default();
        let mut sent = Vec::new();
        for (number, size) in sizes.iter().enumerate() {
            let mut event = event(&ids, KIND, &"x".repeat(*size));
            event.subject = if number % 3 == 0 { "a".to_owned() } else { "b".to_owned() };
            packer.add(&event.subject, &encode(&event));
            sent.push(event);
        }
        let frames = packer.finish();
        let mut received: Vec<(String, Uuid)> = Vec::new();
        for frame in &frames {
            let events = frame::decode(&frame.subject, &frame.payload).unwrap();
            prop_assert_eq!(events.len(), frame.events);
            prop_assert!(frame.payload.len() <= MAX_FRAME_BYTES || frame.events == 1);
            received.extend(events.into_iter().map(|event| event.unwrap()).map(|event| (event.subject, event.id)));
        }
        for subject in ["a", "b"] {
            let of = |(at, id): &(String, Uuid)| (at == subject).then_some(*id);
            let wanted: Vec<_> = sent.iter().filter(|event| event.subject == subject).map(|event| event.id).collect();
            prop_assert_eq!(received.iter().filter_map(of).collect::<Vec<_>>(), wanted);
        }
    }
}

#[test]
fn a_single_event_beyond_the_limit_goes_alone() {
    let ids = Ids::system();
    let mut packer = Packer::default();
    for size in [10, MAX_FRAME_BYTES + 1, 10] {
        packer.add(SUBJECT, &encode(&event(&ids, KIND, &"x".repeat(size))));
    }
    let sizes: Vec<usize> = packer.finish().iter().map(|frame| frame.events).collect();
    assert_eq!(sizes, [1, 1, 1]);
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
fn a_frame_of_too_many_events_is_undecodable_as_a_whole() {
    let empty = [0x0a, 0x00];
    for (events, wanted) in [(MAX_FRAME_EVENTS + 1, false), (200_000, false), (MAX_FRAME_EVENTS, true)] {
        let payload = Bytes::from(empty.repeat(events));
        match frame::decode(SUBJECT, &payload) {
            Ok(parts) => assert!(wanted && parts.len() == events, "{} parts", parts.len()),
            Err(broken) => {
                assert!(!wanted, "{}", broken.reason);
                assert_eq!(broken.bytes.as_ptr_range(), payload.as_ptr_range(), "the payload itself, not a copy");
                assert_eq!(broken.reason, "more than 1024 events in a frame");
            }
        }
    }
}

#[test]
fn several_events_in_more_bytes_than_a_frame_has_are_undecodable_as_a_whole() {
    let ids = Ids::system();
    let half = encode(&event(&ids, KIND, &"x".repeat(MAX_FRAME_BYTES / 2)));
    let broken = frame::decode(SUBJECT, &Bytes::from(half.repeat(2))).unwrap_err();
    assert_eq!(broken.reason, "2 events in a frame of more than 65536 bytes");
    let alone = encode(&event(&ids, KIND, &"x".repeat(MAX_FRAME_BYTES * 2)));
    assert_eq!(decode_all(&Bytes::from(alone)).len(), 1, "a single larger event goes alone");
}

#[test]
fn a_frame_is_closed_when_it_holds_as_many_events_as_it_may() {
    let mut packer = Packer::default();
    for _ in 0..2 * MAX_FRAME_EVENTS + 3 {
        packer.add(SUBJECT, &[0x0a, 0x00]);
    }
    let sizes: Vec<usize> = packer.finish().iter().map(|frame| frame.events).collect();
    assert_eq!(sizes, [MAX_FRAME_EVENTS, MAX_FRAME_EVENTS, 3]);
}
