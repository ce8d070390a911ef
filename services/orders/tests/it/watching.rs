//! Watching: the present state first, then each one, until the end; resumed by a token.

use std::time::Duration;

use flotilla_auth::Role;
use flotilla_proto::orders::v1::{OrderState, WatchOrderRequest, WatchOrderResponse};
use flotilla_testkit::Stack;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::world::{Client, TIMEOUT, World, name_of};

async fn watch(client: &mut Client, order: Uuid, token: &str) -> Streaming<WatchOrderResponse> {
    let request = WatchOrderRequest { name: name_of(order), resume_token: token.to_owned() };
    client.watch_order(request).await.unwrap().into_inner()
}

/// The next state with its version, which is the first part of the token.
async fn next(stream: &mut Streaming<WatchOrderResponse>) -> Result<Option<(OrderState, String)>, Status> {
    let message = tokio::time::timeout(TIMEOUT, stream.message()).await.expect("a state in time")?;
    let version = |token: &str| token.split('.').next().unwrap().to_owned();
    Ok(message.map(|message| (message.order.unwrap().state(), version(&message.resume_token))))
}

/// The token of the next state.
async fn token(stream: &mut Streaming<WatchOrderResponse>) -> String {
    let message = tokio::time::timeout(TIMEOUT, stream.message()).await.expect("a state in time");
    message.unwrap().unwrap().resume_token
}

#[tokio::test]
async fn a_watch_sends_each_state_and_ends_with_the_order() {
    let world = World::start().await;
    let order = world.order().await;
    let mut stream = watch(&mut world.client(), order, "").await;
    assert_eq!(next(&mut stream).await.unwrap(), Some((OrderState::Reserving, "1".into())));
    world.others.wait_for(order, "ReserveStock").await;
    world.others.publish(&[world.others.reserved(order)]).await;
    assert_eq!(next(&mut stream).await.unwrap(), Some((OrderState::Charging, "2".into())));
    world.others.publish(&[world.others.charged(order)]).await;
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
async fn a_resumed_watch_sends_only_new_states() {
    let world = World::start().await;
    let order = world.order().await;
    let mut stream = watch(&mut world.client(), order, "1").await;
    let quiet = tokio::time::timeout(Duration::from_millis(300), stream.message()).await;
    assert!(quiet.is_err(), "nothing new was to be sent");
    world.cancel(order).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap(), Some((OrderState::Compensating, "2".into())));
    world.stop().await;
}

#[tokio::test]
async fn a_token_ahead_of_its_order_gets_the_current_state() {
    let world = World::start().await;
    let order = world.order().await;
    let ahead = watch(&mut world.client(), order, "99").await;
    let of_another_state = watch(&mut world.client(), order, "1.charging..0").await;
    for mut stream in [ahead, of_another_state] {
        assert_eq!(next(&mut stream).await.unwrap(), Some((OrderState::Reserving, "1".into())));
    }
    let seen = token(&mut watch(&mut world.client(), order, "").await).await;
    let mut resumed = watch(&mut world.client(), order, &seen).await;
    world.cancel(order).await.unwrap();
    assert_eq!(next(&mut resumed).await.unwrap(), Some((OrderState::Compensating, "2".into())), "nothing twice");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_to_an_earlier_point_a_watch_sends_the_restored_state() {
    let stack = Stack::start().await.unwrap();
    let world = World::start_on(&stack, |_| {}).await;
    let order = world.order().await;
    stack.save_postgres().await.unwrap();
    world.others.wait_for(order, "ReserveStock").await;
    world.others.publish(&[world.others.reserved(order)]).await;
    world.until(order, OrderState::Charging).await;
    let lost = token(&mut watch(&mut world.client(), order, "").await).await;
    let mut open = watch(&mut world.client(), order, &lost).await;

    stack.restore_postgres().await.unwrap();
    // The order gets the lost version again, with another state.
    flotilla_testkit::eventually("cancelled", TIMEOUT, || async { world.cancel(order).await.map(drop) }).await;
    assert!(world.get(order).await.etag.starts_with("\"2-"));
    let mut resumed = watch(&mut world.client(), order, &lost).await;
    let compensating = Some((OrderState::Compensating, "2".to_owned()));
    assert_eq!(next(&mut resumed).await.unwrap(), compensating);
    // A stream that survived the restore sends it too, unless it broke and got it that way.
    match next(&mut open).await {
        Ok(Some((OrderState::Reserving, _))) => assert_eq!(next(&mut open).await.unwrap(), compensating),
        Ok(state) => assert_eq!(state, compensating),
        Err(status) => assert_eq!(status.code(), Code::Unavailable),
    }
    drop((open, resumed));
    world.service.stop().await;
}

#[tokio::test]
async fn a_change_made_by_another_replica_is_sent() {
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
async fn a_drain_ends_a_watch_with_an_error_that_says_so() {
    let world = World::start().await;
    let order = world.order().await;
    let mut stream = watch(&mut world.client(), order, "").await;
    next(&mut stream).await.unwrap();
    let ((), end) = tokio::join!(world.service.stop(), next(&mut stream));
    assert_eq!(end.unwrap_err().code(), Code::Unavailable);
}
