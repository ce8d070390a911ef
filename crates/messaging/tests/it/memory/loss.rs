//! Losses before a stream's end: what a consumer hasn't acked is republished, what all consumers have acked isn't.

use std::sync::Arc;
use std::time::Duration;

use flotilla_messaging::store::ConsumerLoss;
use flotilla_messaging::{Event, RelaySettings};
use flotilla_postgres::ErrorKind;
use flotilla_testkit::memory::StoreFault;
use uuid::Uuid;

use super::{CONSUMER, Counting, Failing, RETENTION, STREAM, World, eventually};
use crate::fixtures::{KIND, UNREAD, event, events};

/// Long enough for two checks of the stream.
const CHECKED: Duration = Duration::from_secs(5);

/// A stream with frames of one event each, and a consumer that has acked the first ones and is down.
async fn world(seed: u64, acked: usize, waiting: usize) -> (World, Vec<Event>) {
    let mut world = World::new(seed);
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    let mut sent = publish(&world, acked).await;
    world.quiet().await;
    tokio::time::sleep(CHECKED).await;
    world.stop().await;
    world.start_relay();
    sent.extend(publish(&world, waiting).await);
    tokio::time::sleep(CHECKED).await;
    (world, sent)
}

/// Starts a relay whose frames hold one event each, also when it republishes.
fn start_frame_by_frame(world: &mut World) {
    let settings = RelaySettings { batch: 1, checkpoint: Duration::ZERO.into(), ..RelaySettings::default() };
    let relay = world.relay_with("frame by frame", settings);
    world.spawn(relay.run(world.shutdown.clone()));
}

async fn publish(world: &World, count: usize) -> Vec<Event> {
    let mut sent = Vec::new();
    for _ in 0..count {
        let one = event(&world.ids, KIND, "good");
        world.commit(std::slice::from_ref(&one));
        eventually("published", || world.orders.all_published()).await;
        sent.push(one);
    }
    sent
}

/// The consumer comes back and applies everything once.
async fn assert_nothing_is_lost(mut world: World, sent: &[Event]) {
    world.start_consumer(Arc::new(Counting));
    tokio::time::sleep(CHECKED).await;
    world.quiet().await;
    world.assert_each_applied_once(sent);
    assert_eq!(world.orders.losses(), []);
    world.stop().await;
}

fn times(world: &World, event: &Event) -> usize {
    world.streamed().iter().filter(|id| **id == event.id).count()
}

#[tokio::test(start_paused = true)]
async fn what_ages_out_while_a_consumer_is_away_comes_again() {
    let (world, sent) = world(100, 10, 20).await;
    world.broker.age(STREAM, 15);
    tokio::time::sleep(CHECKED).await;
    assert_nothing_is_lost(world, &sent).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_purged_while_a_consumer_is_away_comes_again() {
    let (world, sent) = world(101, 10, 20).await;
    world.broker.purge(STREAM);
    tokio::time::sleep(CHECKED).await;
    assert_eq!(world.streamed().len(), 20, "what it had not acked, and no more");
    assert_nothing_is_lost(world, &sent).await;
}

#[tokio::test(start_paused = true)]
async fn single_deleted_messages_come_again() {
    let (world, sent) = world(102, 10, 20).await;
    for sequence in [13, 17, 18, 30] {
        world.broker.lose(STREAM, sequence..=sequence);
    }
    tokio::time::sleep(CHECKED).await;
    assert_nothing_is_lost(world, &sent).await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_part_of_the_stream_comes_again_from_the_checkpoint_below_it() {
    let (world, sent) = world(103, 10, 20).await;
    world.broker.lose(STREAM, 5..=15);
    eventually("published again", || times(&world, &sent[12]) == 1).await;
    tokio::time::sleep(CHECKED).await;
    assert_eq!(times(&world, &sent[3]), 1, "what was acked and is there isn't published again");
    assert_eq!(times(&world, &sent[9]), 0, "what was acked and is lost isn't published again");
    assert_nothing_is_lost(world, &sent).await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_while_no_relay_runs_is_found_at_the_next_start() {
    let (mut world, sent) = world(104, 10, 20).await;
    world.stop().await;
    world.broker.purge(STREAM);
    world.start_relay();
    tokio::time::sleep(CHECKED).await;
    assert_nothing_is_lost(world, &sent).await;
}

#[tokio::test(start_paused = true)]
async fn what_all_consumers_have_acked_ages_out_without_notice() {
    let (mut world, mut sent) = world(105, 10, 0).await;
    world.start_consumer(Arc::new(Counting));
    for _ in 0..10 {
        sent.extend(publish(&world, 3).await);
        world.quiet().await;
        tokio::time::sleep(CHECKED).await;
        world.broker.age(STREAM, 3);
    }
    tokio::time::sleep(CHECKED).await;
    assert_eq!(world.broker.last(STREAM), 40, "nothing was published again");
    assert_eq!(world.metrics.rebuilds.get(), 0);
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn messages_of_other_subjects_age_out_without_notice() {
    let (mut world, _) = world(106, 10, 0).await;
    world.start_consumer(Arc::new(Counting));
    tokio::time::sleep(CHECKED).await;
    for _ in 0..5 {
        let mut other = event(&world.ids, KIND, "for others");
        other.subject = UNREAD.to_owned();
        world.commit(std::slice::from_ref(&other));
        eventually("published", || world.orders.all_published()).await;
    }
    tokio::time::sleep(CHECKED).await;
    world.broker.purge(STREAM);
    tokio::time::sleep(CHECKED).await;
    assert_eq!(world.broker.last(STREAM), 15, "nothing was published again");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn ageing_past_a_consumer_that_is_away_publishes_once_and_not_at_each_look() {
    let (world, sent) = world(107, 10, 20).await;
    for _ in 0..25 {
        world.broker.age(STREAM, 1);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    assert_eq!(world.metrics.published.get(), 30 + 20, "published again once");
    assert_eq!(world.metrics.rebuilds.get(), 1);
    assert_nothing_is_lost(world, &sent).await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_in_the_midst_of_publishing_again_loses_nothing() {
    let (mut world, sent) = world(108, 10, 40).await;
    world.stop().await;
    start_frame_by_frame(&mut world);
    world.broker.set_latency(Duration::from_millis(200));
    world.broker.lose(STREAM, 15..=20);
    eventually("half of it again", || world.broker.last(STREAM) >= 70).await;
    // Some of them are republished copies, others haven't been republished yet.
    world.broker.lose(STREAM, 55..=60);
    world.broker.lose(STREAM, 30..=40);
    tokio::time::sleep(CHECKED).await;
    world.crash().await;
    world.start_relay();
    tokio::time::sleep(CHECKED * 2).await;
    assert_nothing_is_lost(world, &sent).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_midst_of_publishing_again_only_repeats() {
    let (mut world, sent) = world(109, 10, 40).await;
    world.broker.age(STREAM, 20);
    for _ in 0..5 {
        world.orders.fail(StoreFault::Advance(ErrorKind::Unavailable));
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.crash().await;
        world.start_relay();
    }
    tokio::time::sleep(CHECKED * 2).await;
    assert_nothing_is_lost(world, &sent).await;
}

#[tokio::test(start_paused = true)]
async fn messages_acked_out_of_order_above_a_lost_one_are_not_applied_twice() {
    let mut world = World::new(110);
    world.start_relay();
    // It keeps its first batch while another replica acks later ones.
    world.start_consumer(Arc::new(Failing(vec![ErrorKind::Unavailable; 1_000].into())));
    let mut sent = publish(&world, 1).await;
    tokio::time::sleep(CHECKED).await;
    world.start_consumer(Arc::new(Counting));
    sent.extend(publish(&world, 10).await);
    tokio::time::sleep(CHECKED).await;
    world.crash().await;
    world.broker.lose(STREAM, 1..=1);
    world.start_relay();
    tokio::time::sleep(CHECKED).await;
    assert_nothing_is_lost(world, &sent).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_made_anew_gets_what_it_lost() {
    let (mut world, mut sent) = world(111, 10, 20).await;
    world.broker.delete_consumer(STREAM, CONSUMER.name);
    world.broker.age(STREAM, 25);
    tokio::time::sleep(CHECKED).await;
    world.start_consumer(Arc::new(Counting));
    sent.extend(publish(&world, 1).await);
    tokio::time::sleep(CHECKED).await;
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_sees_an_aged_stream_for_the_first_time_has_lost_nothing() {
    let mut world = World::new(112);
    world.start_relay();
    let sent = publish(&world, 20).await;
    world.broker.age(STREAM, 10);
    tokio::time::sleep(CHECKED).await;
    world.start_consumer(Arc::new(Counting));
    tokio::time::sleep(CHECKED).await;
    world.quiet().await;
    tokio::time::sleep(CHECKED).await;
    assert_eq!(world.broker.last(STREAM), 20, "nothing was published again");
    world.assert_each_applied_once(&sent[10..]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_removed_for_good_is_forgotten() {
    let (world, _) = world(113, 10, 20).await;
    world.broker.delete_consumer(STREAM, CONSUMER.name);
    tokio::time::sleep(RETENTION + CHECKED).await;
    world.broker.age(STREAM, 25);
    tokio::time::sleep(CHECKED).await;
    assert_eq!(world.broker.last(STREAM), 30, "nothing was published again");
    assert_eq!(world.metrics.rebuilds.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_further_behind_than_the_outbox_is_recorded() {
    let (world, sent) = world(114, 10, 20).await;
    world.orders.drop_published();
    let more = publish(&world, 5).await;
    world.broker.age(STREAM, 33);
    eventually("published again", || more.iter().all(|event| times(&world, event) >= 1)).await;
    let loss = ConsumerLoss { consumer: CONSUMER.name.to_owned(), first: 11, last: 30 };
    assert_eq!(world.orders.losses(), [loss]);
    let lost: Vec<Uuid> = sent[10..].iter().map(|event| event.id).collect();
    assert!(world.streamed().iter().all(|id| !lost.contains(id)));
}

#[tokio::test(start_paused = true)]
async fn a_wiped_stream_that_held_more_than_the_outbox_is_recorded() {
    let (world, _) = world(115, 10, 20).await;
    world.orders.drop_published();
    world.broker.wipe();
    eventually("recorded", || !world.orders.losses().is_empty()).await;
    let loss = ConsumerLoss { consumer: CONSUMER.name.to_owned(), first: 11, last: 30 };
    assert_eq!(world.orders.losses(), [loss]);
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_has_dropped_what_was_acked_loses_nothing_with_a_wiped_stream() {
    let (mut world, mut sent) = world(116, 10, 0).await;
    world.orders.drop_published();
    sent.extend(publish(&world, 5).await);
    world.broker.wipe();
    tokio::time::sleep(CHECKED).await;
    world.start_consumer(Arc::new(Counting));
    tokio::time::sleep(CHECKED).await;
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    assert_eq!(world.orders.losses(), []);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn more_gaps_than_a_record_holds_lose_nothing() {
    let (mut world, mut sent) = world(117, 1, 0).await;
    world.stop().await;
    start_frame_by_frame(&mut world);
    let more = events(&world.ids, KIND, 8_300);
    world.commit(&more);
    sent.extend(more);
    eventually("published", || world.orders.all_published()).await;
    tokio::time::sleep(CHECKED).await;
    for sequence in (2..8_300).step_by(2) {
        world.broker.lose(STREAM, sequence..=sequence);
    }
    tokio::time::sleep(CHECKED * 3).await;
    assert_eq!(world.metrics.published.get(), 1 + 8_300 * 2, "published again once");
    assert_nothing_is_lost(world, &sent).await;
}
