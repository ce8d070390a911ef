//! The relay: nothing skipped, nothing lost, one at a time.

use std::sync::Arc;
use std::time::Duration;

use flotilla_messaging::RelaySettings;
use flotilla_messaging::store::OutboxStore;
use flotilla_postgres::ErrorKind;
use flotilla_testkit::memory::StoreFault;
use uuid::Uuid;

use super::{Counting, STREAM, World, eventually};
use crate::fixtures::{KIND, event, events};

#[tokio::test(start_paused = true)]
async fn a_commit_is_published_at_once() {
    let mut world = World::new(1);
    world.start_relay();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = tokio::time::Instant::now();
    world.commit(&events(&world.ids, KIND, 3));
    eventually("published", || world.streamed().len() == 3).await;
    assert!(started.elapsed() <= Duration::from_millis(20), "it took {:?}", started.elapsed());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_row_whose_transaction_began_earlier_and_commits_later_is_not_skipped() {
    let mut world = World::new(2);
    world.start_relay();
    let (early, late) = (event(&world.ids, KIND, "early"), event(&world.ids, KIND, "late"));
    let mut slow = world.orders.transaction();
    slow.append(std::slice::from_ref(&early));
    world.commit(std::slice::from_ref(&late));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(world.streamed().is_empty(), "a row above a running transaction must wait");
    slow.commit().unwrap();
    eventually("both published", || world.streamed() == [early.id, late.id]).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_publication_and_cursor_move_only_repeats() {
    let mut world = World::new(3);
    world.orders.fail(StoreFault::Advance(ErrorKind::Unavailable));
    let sent = events(&world.ids, KIND, 5);
    world.commit(&sent);
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    eventually("published twice", || world.streamed().len() == 10).await;
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn publications_whose_acks_are_lost_are_only_repeated() {
    let mut world = World::new(4);
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    world.broker.lose_acks(2);
    let sent = events(&world.ids, KIND, 5);
    world.commit(&sent);
    world.quiet().await;
    assert_eq!(world.streamed().len(), 15);
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_holder_of_the_lease_publishes() {
    let mut world = World::new(5);
    for holder in ["first", "second", "third"] {
        let relay = world.relay(holder);
        world.spawn(relay.run(world.shutdown.clone()));
    }
    let mut sent = Vec::new();
    for _ in 0..50 {
        let batch = events(&world.ids, KIND, 3);
        world.commit(&batch);
        sent.extend(batch.iter().map(|event| event.id));
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    eventually("published", || world.streamed() == sent).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn another_relay_takes_over_when_the_lease_runs_out() {
    let mut world = World::new(6);
    world.start_relay();
    let first = event(&world.ids, KIND, "first");
    world.commit(std::slice::from_ref(&first));
    eventually("published", || world.streamed() == [first.id]).await;
    world.crash().await;
    let second = event(&world.ids, KIND, "second");
    world.commit(std::slice::from_ref(&second));
    let relay = world.relay("second");
    world.spawn(relay.run(world.shutdown.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.streamed(), [first.id], "the lease of a dead holder still counts");
    eventually("taken over", || world.streamed() == [first.id, second.id]).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_wiped_broker_gets_everything_again_and_each_event_is_applied_once() {
    let mut world = World::new(8);
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    let mut sent = Vec::new();
    for round in 0..4 {
        let batch = events(&world.ids, KIND, 40);
        world.commit(&batch);
        sent.extend(batch);
        world.quiet().await;
        if round == 2 {
            world.broker.wipe();
            eventually("republished", || world.streamed().len() == sent.len()).await;
        }
    }
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    assert_eq!(world.streamed(), sent.iter().map(|event| event.id).collect::<Vec<_>>());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_tail_is_published_again_from_the_last_record_that_holds() {
    let mut world = World::new(9);
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    let mut sent = Vec::new();
    for _ in 0..10 {
        let batch = events(&world.ids, KIND, 1);
        world.commit(&batch);
        sent.extend(batch);
        world.quiet().await;
    }
    world.broker.cut_tail(STREAM, 3);
    eventually("republished", || world.streamed().len() == 10).await;
    // Not from the start: what the stream still holds is not in it twice.
    assert_eq!(world.streamed(), sent.iter().map(|event| event.id).collect::<Vec<_>>());
    let more = events(&world.ids, KIND, 5);
    world.commit(&more);
    sent.extend(more);
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_tail_lost_while_no_relay_runs_is_found_at_the_next_start() {
    let mut world = World::new(10);
    let sent = events(&world.ids, KIND, 4);
    for event in &sent {
        world.commit(std::slice::from_ref(event));
        world.start_relay();
        eventually("published", || world.orders.all_published()).await;
        world.stop().await;
    }
    world.broker.cut_tail(STREAM, 2);
    world.start_relay();
    eventually("republished", || world.streamed() == sent.iter().map(|event| event.id).collect::<Vec<_>>()).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_tail_lost_between_two_publications_is_found_by_the_second() {
    let mut world = World::new(11);
    // No look at the stream but the one that a refused publication causes.
    let settings = RelaySettings {
        check: Duration::from_secs(3_600).into(),
        checkpoint: Duration::ZERO.into(),
        ..RelaySettings::default()
    };
    let relay = world.relay_with("first", settings);
    world.spawn(relay.run(world.shutdown.clone()));
    world.start_consumer(Arc::new(Counting));
    let mut sent = events(&world.ids, KIND, 2);
    for event in &sent {
        world.commit(std::slice::from_ref(event));
        world.quiet().await;
    }
    world.broker.cut_tail(STREAM, 1);
    let more = events(&world.ids, KIND, 3);
    world.commit(&more);
    sent.extend(more);
    eventually("all in the stream", || {
        let streamed = world.streamed();
        sent.iter().all(|event| streamed.contains(&event.id))
    })
    .await;
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_writer_in_the_stream_does_not_stop_the_relay() {
    let mut world = World::new(12);
    world.start_relay();
    world.commit(&events(&world.ids, KIND, 1));
    eventually("published", || world.orders.all_published()).await;
    let (_, subject, payload) = world.broker.messages(STREAM).remove(0);
    world.broker.inject(STREAM, &subject, payload);
    let last = event(&world.ids, KIND, "last");
    world.commit(std::slice::from_ref(&last));
    eventually("published", || world.streamed().last() == Some(&last.id)).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_older_generation_is_published_first() {
    let mut world = World::new(13);
    for _ in 0..20 {
        world.commit(&events(&world.ids, KIND, 1));
    }
    world.orders.restore_elsewhere(2);
    let newer = events(&world.ids, KIND, 2);
    world.commit(&newer);
    let wanted: Vec<Uuid> = world.orders.outbox().iter().map(|event| event.id).collect();
    world.start_relay();
    eventually("published", || world.streamed().len() == 22).await;
    assert_eq!(world.streamed(), wanted);
    assert_eq!(world.streamed()[20..], [newer[0].id, newer[1].id]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_while_the_broker_is_away_flows_when_it_comes() {
    let mut world = World::new(14);
    world.broker.set_down(true);
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    let sent = events(&world.ids, KIND, 50);
    world.commit(&sent);
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.broker.set_down(false);
    eventually("delivered", || world.applied(&sent[49]) == 1).await;
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_larger_than_a_batch_is_published_whole() {
    let mut world = World::new(15);
    let settings = RelaySettings { batch: 7, ..RelaySettings::default() };
    let relay = world.relay_with("first", settings);
    let sent = events(&world.ids, KIND, 100);
    world.commit(&sent);
    world.spawn(relay.run(world.shutdown.clone()));
    eventually("published", || world.orders.all_published()).await;
    assert_eq!(world.streamed(), sent.iter().map(|event| event.id).collect::<Vec<_>>());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutting_down_publishes_what_is_left() {
    let mut world = World::new(16);
    world.start_relay();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let sent = events(&world.ids, KIND, 3);
    let mut tx = world.orders.transaction();
    tx.append(&sent);
    tx.commit().unwrap();
    world.stop().await;
    assert_eq!(world.streamed().len(), 3);
    assert!(
        world.orders.acquire("next", Duration::from_secs(5)).await.unwrap().is_some(),
        "the lease was not given back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_relay_gathers_under_load_and_publishes_a_single_event_at_once() {
    let mut world = World::new(17);
    let gather = Duration::from_secs(1);
    let settings = RelaySettings { gather: gather.into(), ..RelaySettings::default() };
    let relay = world.relay_with("first", settings);
    world.spawn(relay.run(world.shutdown.clone()));
    let published = async |count: usize| {
        let began = tokio::time::Instant::now();
        world.commit(&events(&world.ids, KIND, count));
        eventually("published", || world.orders.all_published()).await;
        began.elapsed()
    };
    published(1).await;
    for _ in 0..3 {
        assert!(published(1).await < gather / 10, "there is nothing to gather");
    }
    published(100).await;
    assert!(published(1).await > gather / 2, "more may come under load");
    assert!(published(1).await < gather / 10, "the load is over");
    world.stop().await;
}
