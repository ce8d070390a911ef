//! Consumers that claim frames: a frame is applied once, in whatever message it comes, and its events again only in others.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_messaging::Event;
use flotilla_messaging::frame::{Frame, FrameBuilder, FramePart};

use super::{CONSUMER, Counting, Keyed, OfFrames, STREAM, World, eventually};
use crate::fixtures::{COMMAND, KIND, SUBJECT, event, events};

fn frame(world: &World, events: &[Event]) -> Frame {
    let mut builder = FrameBuilder::new("/flotilla/orders", &world.ids, usize::MAX);
    events.iter().for_each(|event| builder.add(event).unwrap());
    builder.finish().remove(0)
}

/// Delivers frames in one message.
fn inject(world: &World, frames: &[&Frame]) {
    let payload: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.to_vec()).collect();
    let parts = frames.iter().map(|frame| FramePart { id: frame.id, bytes: frame.payload.len() }).collect();
    world.broker.inject_frames(STREAM, SUBJECT, payload.into(), Some(parts));
}

async fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    world.start_relay();
    world.start_consumer(Arc::new(OfFrames(Counting)));
    eventually("consumer", || world.broker.consumers(STREAM) == 1).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_frame_is_applied_once_whatever_message_it_comes_in() {
    let mut world = world(70).await;
    let sent = events(&world.ids, KIND, 9);
    world.commit(&sent[..3]);
    world.quiet().await;
    let known = world.orders.frames().remove(0);
    let (new, newer) = (frame(&world, &sent[3..6]), frame(&world, &sent[6..]));
    inject(&world, &[&known]);
    inject(&world, &[&new, &known, &newer]);
    inject(&world, &[&newer, &newer, &known]);
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_sent_again_in_another_frame_reaches_a_handler_that_claims_frames() {
    let mut world = World::new(71);
    world.start_relay();
    world.start_consumer(Arc::new(OfFrames(Keyed)));
    let command = event(&world.ids, COMMAND, "charge");
    for _ in 0..3 {
        world.commit(std::slice::from_ref(&command));
        world.quiet().await;
    }
    assert_eq!(world.payments.value(&format!("handed over/{}", command.id)), 3);
    world.assert_each_applied_once(&[command]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_sent_again_in_another_frame_does_not_reach_a_handler_that_claims_events() {
    let mut world = World::new(72);
    world.start_relay();
    world.start_consumer(Arc::new(Keyed));
    let command = event(&world.ids, COMMAND, "charge");
    for _ in 0..3 {
        world.commit(std::slice::from_ref(&command));
        world.quiet().await;
    }
    assert_eq!(world.payments.value(&format!("handed over/{}", command.id)), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_in_two_frames_of_a_batch_is_handed_over_once() {
    let mut world = world(73).await;
    let sent = events(&world.ids, KIND, 3);
    let (first, second) = (frame(&world, &sent), frame(&world, &sent[1..]));
    inject(&world, &[&first, &second]);
    eventually("applied", || world.applied(&sent[2]) > 0).await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn events_of_a_message_that_names_no_frames_are_claimed_one_by_one() {
    let mut world = world(74).await;
    let sent = events(&world.ids, KIND, 5);
    let payload = |events: &[Event]| frame(&world, events).payload;
    world.broker.inject(STREAM, SUBJECT, payload(&sent[..3]));
    world.broker.inject(STREAM, SUBJECT, payload(&sent[1..]));
    // Lengths that don't add up to the payload: such a header says nothing.
    world.broker.inject(STREAM, SUBJECT, payload(&sent[4..]));
    eventually("applied", || sent.iter().all(|event| world.applied(event) > 0)).await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn poison_in_the_middle_of_a_frame_is_parked_once_and_the_others_are_applied() {
    for (seed, poison) in [(75, "invalid"), (76, "panic"), (77, "miscount")] {
        let mut world = world(seed).await;
        let mut sent = events(&world.ids, KIND, 13);
        let bad = event(&world.ids, KIND, poison);
        sent.insert(5, bad.clone());
        world.commit(&sent);
        world.quiet().await;
        inject(&world, &[&world.orders.frames()[0]]);
        world.quiet().await;
        sent.remove(5);
        world.assert_each_applied_once(&sent);
        let parked = world.payments.parked();
        assert_eq!(parked.len(), 1, "{poison}");
        assert_eq!((parked[0].1.event.id, parked[0].1.attempts), (bad.id, 1));
        world.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_event_leave_the_other_frames_of_their_message_intact() {
    let mut world = world(78).await;
    let sent = events(&world.ids, KIND, 4);
    let broken = Frame { payload: Bytes::from_static(&[0x0a, 0x02, 0x08, 0x01]), ..frame(&world, &sent) };
    inject(&world, &[&frame(&world, &sent[..2]), &broken, &frame(&world, &sent[2..])]);
    world.quiet().await;
    eventually("applied", || world.applied(&sent[3]) > 0).await;
    world.assert_each_applied_once(&sent);
    assert_eq!(world.payments.parked().len(), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_with_more_events_than_a_transaction_takes_is_applied_by_one() {
    let mut world = world(79).await;
    let sent = events(&world.ids, KIND, 3 * CONSUMER.max_events);
    // Whoever sees one of its events applied sees them all.
    world.commit(&sent);
    eventually("applied", || world.applied(&sent[0]) > 0).await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}
