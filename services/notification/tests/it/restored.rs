//! Tokens that don't match the present feed: ahead of it, of an earlier release, or from a period that a restore has
//! undone. The feed restarts and flags it; no notice is skipped.

use flotilla_proto::notification::v1::StreamDeliveriesResponse;
use flotilla_testkit::Stack;
use uuid::Uuid;

use crate::subscription::Feed;
use crate::world::{World, sequences, take};

/// The sequences, and which responses have the flag `restarted`.
fn restarts(responses: &[StreamDeliveriesResponse]) -> Vec<(i64, bool)> {
    let restarted = responses.iter().map(|response| response.restarted);
    sequences(responses).into_iter().zip(restarted).collect()
}

/// Confirms this many orders of a customer, who then has `recorded` deliveries.
async fn confirm(world: &World, customer: Uuid, orders: usize, recorded: i64) {
    let events: Vec<_> = (0..orders).map(|_| world.confirmed(customer, world.ids.next())).collect();
    world.send_until(&events, recorded).await;
}

#[tokio::test]
async fn a_token_ahead_of_its_feed_restarts_it_with_a_flag() {
    let world = World::start().await;
    let ada = world.ids.next();
    confirm(&world, ada, 1, 1).await;
    let mut old = world.listen(ada, "s3").await;
    let mut new = world.listen(ada, &format!("s3.{}", world.ids.next().simple())).await;
    assert_eq!(restarts(&take(&mut old, 1).await), [(1, true)]);
    assert_eq!(restarts(&take(&mut new, 1).await), [(1, true)]);
    confirm(&world, ada, 2, 3).await;
    assert_eq!(restarts(&take(&mut old, 2).await), [(2, false), (3, false)]);
    assert_eq!(restarts(&take(&mut new, 2).await), [(2, false), (3, false)]);
    drop((old, new));
    world.finish().await;
}

#[tokio::test]
async fn a_token_of_an_earlier_release_resumes_if_the_feed_reaches_that_far() {
    let world = World::start().await;
    let ada = world.ids.next();
    confirm(&world, ada, 3, 3).await;
    let mut feed = world.listen(ada, "s2").await;
    assert_eq!(restarts(&take(&mut feed, 1).await), [(3, false)]);
    drop(feed);
    world.finish().await;
}

#[tokio::test]
async fn a_token_of_another_customer_reveals_nothing_and_restarts_the_feed() {
    let world = World::start().await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    confirm(&world, ada, 2, 2).await;
    confirm(&world, bob, 2, 4).await;
    let token = take(&mut world.listen(ada, "").await, 2).await.pop().unwrap().resume_token;
    let mut feed = world.listen(bob, &token).await;
    assert_eq!(restarts(&take(&mut feed, 2).await), [(1, true), (2, false)]);
    drop(feed);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_to_an_earlier_point_no_feed_skips_new_deliveries() {
    let stack = Stack::start().await.unwrap();
    let world = World::start_on(&stack, |_| {}).await;
    let ada = world.ids.next();
    confirm(&world, ada, 2, 2).await;
    stack.save_postgres().await.unwrap();
    confirm(&world, ada, 3, 5).await;
    let mut open = world.listen(ada, "").await;
    let before = take(&mut open, 5).await;
    let (kept, lost) = (before[1].resume_token.clone(), before[4].resume_token.clone());

    stack.restore_postgres().await.unwrap();
    world.wait_for(2).await;
    // The feed grows past the lost sequence while a stream that survived the restore is open.
    confirm(&world, ada, 4, 6).await;
    let anew = [(1, true), (2, false), (3, false), (4, false), (5, false), (6, false)];
    assert_eq!(restarts(&take(&mut world.listen(ada, &lost).await, 6).await), anew, "of a lost time");
    let after_two = [(3, false), (4, false), (5, false), (6, false)];
    assert_eq!(restarts(&take(&mut world.listen(ada, &kept).await, 4).await), after_two, "of the time before");
    if let Ok(Some(next)) = open.message().await {
        let mut rest = vec![next];
        rest.extend(take(&mut open, 5).await);
        assert_eq!(restarts(&rest), anew, "open through the restore");
    }
    drop(open);
    world.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_of_a_lost_notice_does_not_acknowledge_the_one_that_now_has_its_sequence() {
    let stack = Stack::start().await.unwrap();
    let world = World::start_on(&stack, |_| {}).await;
    let ada = world.ids.next();
    confirm(&world, ada, 1, 1).await;
    stack.save_postgres().await.unwrap();
    confirm(&world, ada, 1, 2).await;
    let mut feed = Feed::all(&world, ada).await;
    let lost = [feed.notice().await, feed.notice().await];
    stack.restore_postgres().await.unwrap();
    world.wait_for(1).await;
    confirm(&world, ada, 1, 2).await;
    feed.acknowledge(&lost).await;
    let mut again = Feed::all(&world, ada).await;
    let open = loop {
        let notice = again.notice().await;
        if notice.delivery.as_ref().unwrap().sequence == 2 {
            break notice;
        }
    };
    assert_ne!(open.delivery.unwrap().name, lost[1].delivery.as_ref().unwrap().name);
    drop((feed, again));
    world.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_outlasts_a_restart_of_its_database() {
    let stack = Stack::start().await.unwrap();
    let world = World::start_on(&stack, |_| {}).await;
    let ada = world.ids.next();
    confirm(&world, ada, 1, 1).await;
    let mut feed = Feed::all(&world, ada).await;
    let first = feed.notice().await;
    stack.kill_postgres().await;
    // Needs the database, which is away: it must neither end the feed nor be lost.
    feed.acknowledge(&[first]).await;
    stack.restart_postgres().await.unwrap();
    world.wait_for(1).await;
    confirm(&world, ada, 1, 2).await;
    assert_eq!(feed.notice().await.delivery.unwrap().sequence, 2);
    let mut again = Feed::all(&world, ada).await;
    assert_eq!(again.notice().await.delivery.unwrap().sequence, 2, "the first was acknowledged");
    drop((feed, again));
    world.service.stop().await;
}
