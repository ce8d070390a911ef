//! Two-way feeds: what isn't acknowledged comes again, what is doesn't, and a window bounds what is open.

use std::time::Duration;

use flotilla_proto::notification::v1::subscribe_request::Command;
use flotilla_proto::notification::v1::subscribe_response::Event as Said;
use flotilla_proto::notification::v1::{
    Acknowledgement, DeliveryKind, ListDeliveriesRequest, Notice, SubscribeRequest, SubscribeResponse, Subscription,
};
use flotilla_testkit::{fields, refusal};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::world::{TIMEOUT, World};

/// The client's side of a feed.
pub struct Feed {
    requests: mpsc::Sender<SubscribeRequest>,
    responses: Streaming<SubscribeResponse>,
}

fn wish(kinds: &[DeliveryKind], max_unacknowledged: i32) -> Command {
    Command::Subscription(Subscription { kinds: kinds.iter().map(|kind| (*kind).into()).collect(), max_unacknowledged })
}

impl Feed {
    /// Opens a feed with a first command.
    async fn open(world: &World, user: Uuid, first: Command) -> Self {
        let (requests, commands) = mpsc::channel(16);
        requests.send(SubscribeRequest { command: Some(first) }).await.unwrap();
        let answer = world.customer(user).subscribe(ReceiverStream::new(commands)).await.unwrap();
        Self { requests, responses: answer.into_inner() }
    }

    /// Opens a feed of everything.
    pub async fn all(world: &World, user: Uuid) -> Self {
        let mut feed = Self::open(world, user, wish(&[], 0)).await;
        let confirmed = feed.confirmed().await;
        assert_eq!((confirmed.kinds.len(), confirmed.max_unacknowledged), (8, 100));
        feed
    }

    async fn next(&mut self) -> Result<Option<SubscribeResponse>, Status> {
        tokio::time::timeout(TIMEOUT, self.responses.message()).await.expect("the feed sends something")
    }

    async fn confirmed(&mut self) -> Subscription {
        match self.next().await.unwrap().unwrap().event.unwrap() {
            Said::Subscription(subscription) => subscription,
            Said::Notice(notice) => panic!("a notice instead of a confirmation: {notice:?}"),
        }
    }

    pub async fn notice(&mut self) -> Notice {
        match self.next().await.unwrap().unwrap().event.unwrap() {
            Said::Notice(notice) => notice,
            Said::Subscription(subscription) => panic!("a confirmation instead of a notice: {subscription:?}"),
        }
    }

    /// Sequences and attempts of the next notices.
    async fn notices(&mut self, count: usize) -> Vec<(i64, i32)> {
        let mut seen = Vec::new();
        for _ in 0..count {
            let notice = self.notice().await;
            seen.push((notice.delivery.unwrap().sequence, notice.attempt));
        }
        seen
    }

    async fn send(&self, command: Command) {
        self.requests.send(SubscribeRequest { command: Some(command) }).await.unwrap();
    }

    pub async fn acknowledge(&self, notices: &[Notice]) {
        let deliveries = notices.iter().map(|notice| notice.delivery.as_ref().unwrap().name.clone()).collect();
        self.send(Command::Acknowledgement(Acknowledgement { deliveries })).await;
    }
}

/// Waits until so many deliveries of a customer are acknowledged.
async fn wait_acknowledged(world: &World, user: Uuid, count: usize) {
    flotilla_testkit::eventually("the acknowledgements are stored", TIMEOUT, || async {
        let all = ListDeliveriesRequest { page_size: 1_000, ..Default::default() };
        let page = world.customer(user).list_deliveries(all).await.unwrap().into_inner();
        let found = page.deliveries.iter().filter(|delivery| delivery.acknowledge_time.is_some()).count();
        if found == count { Ok(()) } else { Err(format!("{found} are")) }
    })
    .await;
}

#[tokio::test]
async fn unacknowledged_notices_are_sent_again_after_a_reconnect() {
    let world = World::start().await;
    let ada = world.ids.next();
    let events: Vec<_> = (0..4).map(|_| world.confirmed(ada, world.ids.next())).collect();
    world.send_until(&events, 4).await;
    let mut feed = Feed::all(&world, ada).await;
    let mut notices = Vec::new();
    for _ in 0..4 {
        notices.push(feed.notice().await);
    }
    // Out of order, and not the first.
    feed.acknowledge(&[notices.remove(3), notices.remove(1)]).await;
    wait_acknowledged(&world, ada, 2).await;
    drop(feed);
    let mut again = Feed::all(&world, ada).await;
    assert_eq!(again.notices(2).await, [(1, 2), (3, 2)], "the first and the third, for the second time");
    world.send(&[world.confirmed(ada, world.ids.next())]).await;
    assert_eq!(again.notices(1).await, [(5, 1)], "and then what is new");
    drop(again);
    world.finish().await;
}

#[tokio::test]
async fn a_client_that_never_acknowledges_is_sent_one_window() {
    let world = World::start().await;
    let ada = world.ids.next();
    let events: Vec<_> = (0..9).map(|_| world.confirmed(ada, world.ids.next())).collect();
    world.send_until(&events, 9).await;
    let mut feed = Feed::open(&world, ada, wish(&[], 3)).await;
    assert_eq!(feed.confirmed().await.max_unacknowledged, 3);
    let first = feed.notice().await;
    assert_eq!(feed.notices(2).await, [(2, 1), (3, 1)]);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), feed.responses.message()).await.is_err(),
        "the window is full"
    );
    feed.acknowledge(&[first]).await;
    assert_eq!(feed.notices(1).await, [(4, 1)], "one acknowledged, one more sent");
    drop(feed);
    world.finish().await;
}

#[tokio::test]
async fn a_client_changes_its_subscription_while_the_feed_is_open() {
    let world = World::start().await;
    let ada = world.ids.next();
    world.send_until(&[world.signed_up(ada)], 1).await;
    world.send_until(&[world.confirmed(ada, world.ids.next())], 2).await;
    let mut feed = Feed::open(&world, ada, wish(&[DeliveryKind::OrderConfirmed], 0)).await;
    assert_eq!(feed.confirmed().await.kinds, [i32::from(DeliveryKind::OrderConfirmed)]);
    assert_eq!(feed.notices(1).await, [(2, 1)]);
    world.send(&[world.charged(ada, world.ids.next())]).await;
    world.wait_for(3).await;
    feed.send(wish(&[], 0)).await;
    assert_eq!(feed.confirmed().await.kinds.len(), 8);
    assert_eq!(
        feed.notices(2).await,
        [(1, 1), (3, 1)],
        "passed over before, wanted now; the open one isn't sent twice"
    );
    drop(feed);
    world.finish().await;
}

#[tokio::test]
async fn a_feed_of_some_kinds_skips_the_others() {
    let world = World::start_with(|settings| settings.feed.page = 2).await;
    let ada = world.ids.next();
    let mut events: Vec<_> = (0..20).map(|_| world.charged(ada, world.ids.next())).collect();
    events.push(world.signed_up(ada));
    world.send_until(&events, 21).await;
    let mut feed = Feed::open(&world, ada, wish(&[DeliveryKind::Welcome], 0)).await;
    feed.confirmed().await;
    assert_eq!(feed.notice().await.delivery.unwrap().kind(), DeliveryKind::Welcome);
    drop(feed);
    world.finish().await;
}

#[tokio::test]
async fn bad_requests_end_the_feed_and_name_the_field() {
    let world = World::start().await;
    let ada = world.ids.next();
    let bad_name = Acknowledgement { deliveries: vec!["notifications/1".to_owned()] };
    let cases = [
        (Some(Command::Acknowledgement(bad_name)), "acknowledgement.deliveries[0]"),
        (Some(Command::Acknowledgement(Acknowledgement::default())), "acknowledgement.deliveries"),
        (Some(wish(&[DeliveryKind::Unspecified], 0)), "subscription.kinds[0]"),
        (Some(wish(&[], 1_001)), "subscription.max_unacknowledged"),
        (None, "command"),
    ];
    for (command, field) in cases {
        let (requests, commands) = mpsc::channel(1);
        requests.send(SubscribeRequest { command }).await.unwrap();
        let mut feed = world.customer(ada).subscribe(ReceiverStream::new(commands)).await.unwrap().into_inner();
        let status = tokio::time::timeout(TIMEOUT, feed.message()).await.unwrap().unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    let early = Acknowledgement { deliveries: vec![format!("notifications/{ada}")] };
    let mut feed = Feed::open(&world, ada, Command::Acknowledgement(early)).await;
    assert_eq!(fields(&feed.next().await.unwrap_err()), ["subscription"]);
    world.finish().await;
}

#[tokio::test]
async fn a_customer_cannot_acknowledge_for_another() {
    let world = World::start().await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    world.send_until(&[world.signed_up(ada), world.signed_up(bob)], 2).await;
    let mut adas = Feed::all(&world, ada).await;
    let notice = adas.notice().await;
    let mut bobs = Feed::all(&world, bob).await;
    // Read first: a command while a page is being read has it read again, and counted as shown again.
    let own = bobs.notice().await;
    assert_eq!((own.delivery.as_ref().unwrap().sequence, own.attempt), (1, 1), "bob's own");
    bobs.acknowledge(std::slice::from_ref(&notice)).await;
    // Commands are obeyed in order: once his own is acknowledged, ada's would be too.
    bobs.acknowledge(std::slice::from_ref(&own)).await;
    wait_acknowledged(&world, bob, 1).await;
    drop(adas);
    assert_eq!(Feed::all(&world, ada).await.notice().await.attempt, 2, "ada's is still open");
    world.finish().await;
}

#[tokio::test]
async fn a_shutdown_ends_a_two_way_feed_and_tells_the_client_to_reconnect() {
    let world = World::start().await;
    let ada = world.ids.next();
    let mut feed = Feed::all(&world, ada).await;
    let (ended, ()) = tokio::join!(feed.next(), world.finish());
    assert_eq!(refusal(ended), (Code::Unavailable, "SERVER_DRAINING".into()));
}
