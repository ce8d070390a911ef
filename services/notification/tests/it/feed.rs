//! Live feeds: they begin where they are asked to, miss nothing, and end with a reason.

use std::time::Duration;

use flotilla_auth::Role;
use flotilla_config::HumanDuration;
use flotilla_messaging::Event;
use flotilla_notification::Notification;
use flotilla_proto::notification::v1::notification_service_client::NotificationServiceClient;
use flotilla_proto::notification::v1::{DeliveryKind, StreamDeliveriesRequest};
use flotilla_testkit::{ServiceHarness, refusal};
use tonic::Code;

use crate::world::{TIMEOUT, World, sequences, take};

#[tokio::test]
async fn a_feed_sends_past_deliveries_and_then_new_ones() {
    let world = World::start().await;
    let (ada, order) = (world.ids.next(), world.ids.next());
    world.send_until(&[world.signed_up(ada)], 1).await;
    let mut feed = world.listen(ada, "").await;
    let welcome = take(&mut feed, 1).await.remove(0);
    let delivery = welcome.delivery.unwrap();
    assert_eq!((delivery.kind(), delivery.sequence, welcome.restarted), (DeliveryKind::Welcome, 1, false));
    assert!(welcome.resume_token.starts_with("s1."), "{}", welcome.resume_token);
    assert!(delivery.name.starts_with("notifications/") && delivery.order.is_empty() && delivery.create_time.is_some());
    world.send(&[world.confirmed(ada, order)]).await;
    let confirmed = take(&mut feed, 1).await.remove(0).delivery.unwrap();
    assert_eq!((confirmed.sequence, confirmed.order), (2, format!("orders/{order}")));
    drop(feed);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_reconnects_repeatedly_misses_and_repeats_nothing() {
    let world = World::start_with(|settings| settings.feed.page = 7).await;
    let ada = world.ids.next();
    let events: Vec<Event> = (0..200).map(|_| world.confirmed(ada, world.ids.next())).collect();
    let send = async {
        for chunk in events.chunks(5) {
            world.send(chunk).await;
        }
    };
    let read = async {
        let (mut seen, mut token) = (Vec::new(), String::new());
        while seen.len() < 200 {
            let mut feed = world.listen(ada, &token).await;
            let responses = take(&mut feed, (200 - seen.len()).min(11)).await;
            token = responses.last().unwrap().resume_token.clone();
            seen.extend(sequences(&responses));
        }
        seen
    };
    let ((), seen) = tokio::join!(send, read);
    assert_eq!(seen, (1..=200).collect::<Vec<i64>>());
    world.finish().await;
}

#[tokio::test]
async fn deliveries_recorded_by_this_replica_are_sent_at_once() {
    let world = World::start_with(|settings| settings.feed.poll = HumanDuration::from_secs(3_600).into()).await;
    let ada = world.ids.next();
    let mut feed = world.listen(ada, "").await;
    for sequence in 1..=5 {
        world.send(&[world.confirmed(ada, world.ids.next())]).await;
        assert_eq!(sequences(&take(&mut feed, 1).await), [sequence]);
    }
    drop(feed);
    world.finish().await;
}

#[tokio::test]
async fn deliveries_recorded_by_another_replica_are_sent() {
    let world = World::start().await;
    let ada = world.ids.next();
    // Only this one consumes: the streams of the other are in an account where nobody writes.
    let mut deaf = world.settings.clone();
    deaf.common.nats.url = flotilla_testkit::stack().await.nats_url();
    let deaf = ServiceHarness::start::<Notification>(deaf).await;
    let token = world.identity.token(ada, Role::Customer);
    let mut client = NotificationServiceClient::new(deaf.channel_as(&token));
    let request = StreamDeliveriesRequest { resume_token: String::new() };
    let mut feed = client.stream_deliveries(request).await.unwrap().into_inner();
    world.send_until(&[world.confirmed(ada, world.ids.next())], 1).await;
    assert_eq!(sequences(&take(&mut feed, 1).await), [1]);
    drop(feed);
    deaf.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn a_shutdown_ends_a_feed_and_tells_the_client_to_reconnect() {
    let world = World::start().await;
    let ada = world.ids.next();
    let mut feed = world.listen(ada, "").await;
    world.send_until(&[world.signed_up(ada)], 1).await;
    take(&mut feed, 1).await;
    let (ended, ()) = tokio::join!(feed.message(), world.finish());
    assert_eq!(refusal(ended), (Code::Unavailable, "SERVER_DRAINING".into()));
}

#[tokio::test]
async fn the_open_feeds_of_a_customer_are_limited() {
    let world = World::start_with(|settings| settings.feed.listeners_each = 2).await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    let feeds = [world.listen(ada, "").await, world.listen(ada, "").await];
    let request = || StreamDeliveriesRequest { resume_token: String::new() };
    let refused = world.customer(ada).stream_deliveries(request()).await;
    assert_eq!(refusal(refused), (Code::ResourceExhausted, "TOO_MANY_FEEDS".into()));
    drop(world.listen(bob, "").await);
    drop(feeds);
    flotilla_testkit::eventually("there is room again", TIMEOUT, || async {
        world.customer(ada).stream_deliveries(request()).await.map(|_| ())
    })
    .await;
    world.finish().await;
}

#[tokio::test]
async fn a_feed_ends_at_the_calls_deadline() {
    let world = World::start().await;
    let mut request = tonic::Request::new(StreamDeliveriesRequest { resume_token: String::new() });
    request.set_timeout(Duration::from_millis(300));
    let answer = world.customer(world.ids.next()).stream_deliveries(request).await;
    let ended = match answer {
        Ok(feed) => tokio::time::timeout(TIMEOUT, feed.into_inner().message()).await.unwrap().unwrap_err(),
        Err(status) => status,
    };
    assert!(matches!(ended.code(), Code::DeadlineExceeded | Code::Cancelled), "{ended}");
    world.finish().await;
}
