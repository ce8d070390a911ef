//! Watching: the present state first, then each one, until the end; resumed by a token.

use std::time::Duration;

use flotilla_proto::orders::v1::{OrderState, WatchOrderRequest, WatchOrderResponse};
use flotilla_rpc::Role;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::world::{Client, PATIENCE, World, name_of};

async fn watch(client: &mut Client, order: Uuid, token: &str) -> Streaming<WatchOrderResponse> {
    let request = WatchOrderRequest { name: name_of(order), resume_token: token.to_owned() };
    client.watch_order(request).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<WatchOrderResponse>) -> Result<Option<(OrderState, String)>, Status> {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a state in time")?;
    Ok(message.map(|message| (message.order.unwrap().state(), message.resume_token)))
}

#[tokio::test]
async fn a_watch_tells_each_state_and_ends_with_the_order() {
    let world = World::start().await;
    let order = world.order().await;
    let mut stream = watch(&mut world.client(), order, "").await;
    assert_eq!(next(&mut stream).await.unwrap(), Some((OrderState::Reserving, "1".into())));
    world.others.hear(order, "ReserveStock").await;
    world.others.say(&[world.others.reserved(order)]).await;
    assert_eq!(next(&mut stream).await.unwrap(), Some((OrderState::Charging, "2".into())));
    world.others.say(&[world.others.charged(order)]).await;
    assert_eq!(next(&mut stream).await.unwrap(), Some((OrderState::Confirmed, "3".into())));
    assert_eq!(next(&mut stream).await.unwrap(), None);

    let mut late = watch(&mut world.client(), order, "2").await;
    assert_eq!(next(&mut late).await.unwrap(), Some((OrderState::Confirmed, "3".into())));
    assert_eq!(next(&mut late).await.unwrap(), None);
    let mut done = watch(&mut world.client(), order, "3").await;
    assert_eq!(next(&mut done).await.unwrap(), None);
    world.stop().await;
}

#[tokio::test]
async fn a_resumed_watch_waits_for_what_it_has_not_seen() {
    let world = World::start().await;
    let order = world.order().await;
    let mut stream = watch(&mut world.client(), order, "1").await;
    let quiet = tokio::time::timeout(Duration::from_millis(300), stream.message()).await;
    assert!(quiet.is_err(), "nothing new was to be told");
    world.cancel(order).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap(), Some((OrderState::Compensating, "2".into())));
    world.stop().await;
}

#[tokio::test]
async fn a_change_made_by_another_replica_is_told() {
    let world = World::start().await;
    let replica = world.replica().await;
    let order = world.order().await;
    let mut elsewhere = world.client_of(&replica, world.customer, Role::Customer);
    let mut stream = watch(&mut elsewhere, order, "").await;
    assert_eq!(next(&mut stream).await.unwrap(), Some((OrderState::Reserving, "1".into())));
    world.cancel(order).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap(), Some((OrderState::Compensating, "2".into())));
    drop(stream);
    replica.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_watch_of_a_draining_service_says_so() {
    let world = World::start().await;
    let order = world.order().await;
    let mut stream = watch(&mut world.client(), order, "").await;
    next(&mut stream).await.unwrap();
    let ((), end) = tokio::join!(world.service.stop(), next(&mut stream));
    assert_eq!(end.unwrap_err().code(), Code::Unavailable);
}
