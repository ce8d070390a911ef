//! Faults for exercise: what waits goes on afterwards, what is damaged was only a copy, and nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use flotilla_fault::{Fault, Faults, Injection};
use flotilla_messaging::POISON_SOURCE;

use super::{CONSUMER, Counting, STREAM, World, eventually};
use crate::fixtures::{KIND, events};

fn lasting(seconds: u64) -> Injection {
    Injection { lasts: Duration::from_secs(seconds), ..Injection::default() }
}

/// Relay and consumer under one set of switches.
async fn world(seed: u64) -> (World, Faults) {
    let (mut world, faults) = (World::new(seed), Faults::allowed());
    let relay = world.relay("first").with_faults(&faults, world.ids.clone());
    world.spawn(relay.run(world.shutdown.clone()));
    let consumer = world.consumer(Arc::new(Counting)).with_faults(&faults);
    world.spawn(consumer.run(world.shutdown.clone()));
    world.consuming = true;
    eventually("consumer", || world.broker.consumers(STREAM) == 1).await;
    (world, faults)
}

#[tokio::test(start_paused = true)]
async fn a_stalled_relay_publishes_nothing_and_everything_once_the_stall_is_over() {
    let (mut world, faults) = world(60).await;
    faults.turn_on(Fault::BrokerStall, lasting(60)).unwrap();
    let sent = events(&world.ids, KIND, 40);
    world.commit(&sent);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(world.streamed().is_empty());
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    assert!(!faults.turn_off(Fault::BrokerStall), "it ended by itself");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_stalled_shuts_down_in_time() {
    let (mut world, faults) = world(61).await;
    faults.turn_on(Fault::BrokerStall, lasting(3_600)).unwrap();
    world.commit(&events(&world.ids, KIND, 3));
    let began = tokio::time::Instant::now();
    world.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stuck_consumer_holds_its_batch_takes_nothing_more_and_applies_all_once_afterwards() {
    let (mut world, faults) = world(62).await;
    faults.turn_on(Fault::StuckConsumer, lasting(120)).unwrap();
    let sent = events(&world.ids, KIND, 100);
    for part in sent.chunks(10) {
        world.commit(part);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.payments.values("applied/").is_empty());
    assert_eq!(world.broker.unacked(STREAM), world.broker.messages(STREAM).len());
    assert_eq!(world.broker.redeliveries(), 0, "the frames in hand are kept alive");
    assert!(faults.turn_off(Fault::StuckConsumer));
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_stuck_gives_its_batch_back_at_a_shutdown() {
    let (mut world, faults) = world(63).await;
    faults.turn_on(Fault::StuckConsumer, lasting(3_600)).unwrap();
    let sent = events(&world.ids, KIND, 5);
    world.commit(&sent);
    eventually("published", || world.orders.all_published()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.stop().await;
    // Another replica, without the fault.
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn damaged_copies_are_parked_beside_true_events_that_are_each_applied_once() {
    let (mut world, faults) = world(64).await;
    faults.turn_on(Fault::PoisonMessages, Injection { share: 25, ..lasting(60) }).unwrap();
    let sent = events(&world.ids, KIND, 40);
    world.commit(&sent);
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    let parked = world.payments.parked();
    assert_eq!(parked.len(), 10);
    for (consumer, row) in parked {
        assert_eq!((consumer, row.event.source.as_str()), (CONSUMER.name, POISON_SOURCE));
        let original = row.event.causation_id.unwrap();
        assert!(sent.iter().any(|event| event.id == original) && row.event.id != original);
    }
    faults.turn_off(Fault::PoisonMessages);
    let more = events(&world.ids, KIND, 40);
    world.commit(&more);
    world.quiet().await;
    assert_eq!(world.payments.parked().len(), 10, "no more than before");
    world.stop().await;
}
