//! Nobody sees another's deliveries, neither through the API nor through the role behind it.

use flotilla_postgres::Pool;
use flotilla_proto::notification::v1::notification_service_client::NotificationServiceClient;
use flotilla_proto::notification::v1::{ListDeliveriesRequest, StreamDeliveriesRequest};
use flotilla_telemetry::Registry;
use tonic::Code;

use crate::world::{World, sequences, take};

#[tokio::test]
async fn another_customers_feed_is_not_visible() {
    let world = World::start().await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    let mut bobs = world.listen(bob, "").await;
    world.send_until(&[world.signed_up(ada), world.confirmed(ada, world.ids.next())], 2).await;
    assert!(world.texts(bob).await.is_empty());
    world.send_until(&[world.signed_up(bob)], 3).await;
    let first = take(&mut bobs, 1).await;
    assert_eq!(sequences(&first), [1]);
    assert_eq!(first[0].delivery.as_ref().unwrap().text, "Welcome to Flotilla, Ada.", "bob's own welcome");
    assert_eq!(world.texts(bob).await.len(), 1);
    drop(bobs);
    world.finish().await;
}

#[tokio::test]
async fn the_role_behind_customers_calls_sees_only_the_callers_rows_and_writes_nothing() {
    let world = World::start().await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    world.send_until(&[world.signed_up(ada), world.signed_up(bob), world.confirmed(bob, world.ids.next())], 3).await;
    let settings = world.database.settings();
    let user = Pool::connect("test", &settings.user_url, &settings, &Registry::new()).unwrap();
    let all = "SELECT customer_id FROM deliveries";
    assert_eq!(user.query_as(ada, all, &[]).await.unwrap().len(), 1);
    assert_eq!(user.query_as(bob, all, &[]).await.unwrap().len(), 2);
    assert_eq!(user.query(all, &[]).await.unwrap().len(), 0, "without a caller there is nothing to see");
    for denied in ["DELETE FROM deliveries", "UPDATE deliveries SET body = ''", "SELECT lock_feeds('{}')"] {
        let error = user.query_as(ada, denied, &[]).await.unwrap_err();
        assert_eq!(error.sql_state(), Some("42501"), "{denied}");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_page_token_is_refused_from_another_customer() {
    let world = World::start().await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    world.send_until(&[world.signed_up(ada), world.confirmed(ada, world.ids.next())], 2).await;
    let first = ListDeliveriesRequest { page_size: 1, ..Default::default() };
    let page_token = world.customer(ada).list_deliveries(first).await.unwrap().into_inner().next_page_token;
    let stolen = ListDeliveriesRequest { page_size: 1, page_token, ..Default::default() };
    let refused = world.customer(bob).list_deliveries(stolen).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    world.finish().await;
}

#[tokio::test]
async fn calls_without_a_token_are_refused() {
    let world = World::start().await;
    let mut nobody = NotificationServiceClient::new(world.service.channel());
    let list = nobody.list_deliveries(ListDeliveriesRequest::default()).await.unwrap_err();
    let stream = nobody.stream_deliveries(StreamDeliveriesRequest::default()).await.unwrap_err();
    assert_eq!((list.code(), stream.code()), (Code::Unauthenticated, Code::Unauthenticated));
    world.finish().await;
}
