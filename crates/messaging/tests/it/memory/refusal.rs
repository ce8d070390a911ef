//! A stream that refuses messages although its broker answers: it is recreated when that helps, and never with a loss.

use std::sync::Arc;
use std::time::Duration;

use super::{Counting, World, eventually};
use crate::fixtures::{KIND, events};

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_on_refusing_after_a_full_disk_is_made_anew() {
    let mut world = World::new(120);
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    let mut sent = events(&world.ids, KIND, 30);
    world.commit(&sent);
    world.quiet().await;
    world.broker.set_full(true);
    let more = events(&world.ids, KIND, 30);
    world.commit(&more);
    sent.extend(more);
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert!(world.health.refuses());
    assert_eq!(world.metrics.stream_refuses.get(), 1);
    assert_eq!(world.metrics.resets.get(), 0, "a disk that is still full makes nothing anew");
    world.broker.set_full(false);
    let freed = tokio::time::Instant::now();
    eventually("flows again", || world.orders.all_published()).await;
    assert!(freed.elapsed() < Duration::from_secs(30), "{:?}", freed.elapsed());
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    assert!(!world.health.refuses());
    assert_eq!((world.metrics.stream_refuses.get(), world.metrics.resets.get()), (0, 1));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_messages_that_the_outbox_lacks_is_left_as_it_is() {
    let mut world = World::new(121);
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    let sent = events(&world.ids, KIND, 5);
    world.commit(&sent);
    world.quiet().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.stop().await;
    world.start_relay();
    let unread = events(&world.ids, KIND, 5);
    world.commit(&unread);
    eventually("published", || world.orders.all_published()).await;
    world.orders.drop_published();
    world.broker.set_full(true);
    world.commit(&events(&world.ids, KIND, 5));
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.broker.set_full(false);
    eventually("told", || world.metrics.reset_blocked.get() == 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.metrics.resets.get(), 0);
    assert!(unread.iter().all(|event| world.streamed().contains(&event.id)), "only the stream has them");
    // The consumer comes back and acks them: nothing blocks the reset any more.
    world.start_consumer(Arc::new(Counting));
    eventually("made anew", || world.orders.all_published()).await;
    assert_eq!((world.metrics.resets.get(), world.metrics.reset_blocked.get()), (1, 0));
    assert_eq!(world.orders.losses(), []);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_is_no_stream_that_refuses() {
    let mut world = World::new(122);
    world.start_relay();
    let sent = events(&world.ids, KIND, 5);
    world.commit(&sent);
    eventually("published", || world.orders.all_published()).await;
    for _ in 0..20 {
        world.broker.set_down(true);
        world.commit(&events(&world.ids, KIND, 1));
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.broker.set_down(false);
        eventually("published", || world.orders.all_published()).await;
    }
    assert_eq!(world.metrics.resets.get(), 0);
    assert!(!world.health.refuses());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn publications_whose_acks_are_lost_make_nothing_anew() {
    let mut world = World::new(123);
    world.start_relay();
    world.broker.lose_acks(40);
    let sent = events(&world.ids, KIND, 5);
    world.commit(&sent);
    eventually("published", || world.orders.all_published()).await;
    assert_eq!(world.metrics.resets.get(), 0, "the stream has taken each of them");
    world.stop().await;
}
