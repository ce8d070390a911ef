//! One customer among others: how many orders they may have at once, and how often.

use flotilla_auth::Role;
use flotilla_proto::orders::v1::WatchOrderRequest;
use flotilla_rpc::Details;
use futures::future::join_all;
use tonic::{Code, Status};

use crate::world::{World, name_of, request};

fn reason(status: &Status) -> (Code, Option<String>) {
    (status.code(), Details::of(status).reason)
}

#[tokio::test]
async fn watches_of_one_order_by_one_customer_are_limited_and_everything_else_continues() {
    let world = World::start_with(|settings| settings.watch.streams_each = 2).await;
    let (order, other) = (world.order().await, world.order().await);
    let watch = async |order| {
        let request = WatchOrderRequest { name: name_of(order), ..WatchOrderRequest::default() };
        world.client().watch_order(request).await
    };
    let mut watches = vec![watch(order).await.unwrap(), watch(order).await.unwrap()];
    let refused = watch(order).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::ResourceExhausted, Some("TOO_MANY_WATCHES".to_owned())));
    let details = Details::of(&refused);
    assert_eq!(details.quotas[0].subject, "user");
    assert!(details.retry_after.is_some());
    watch(other).await.expect("another order");
    let operator = WatchOrderRequest { name: name_of(order), ..WatchOrderRequest::default() };
    world.client_as(world.ids.next(), Role::Operator).watch_order(operator).await.expect("another user");
    watches.pop();
    flotilla_testkit::eventually("a place", crate::world::TIMEOUT, || async { watch(order).await.is_ok() }).await;
    drop(watches);
    world.cancel(order).await.unwrap();
    world.cancel(other).await.unwrap();
    world.service.stop().await;
}

#[tokio::test]
async fn a_flood_of_one_customers_orders_is_refused_and_anothers_order_is_accepted() {
    let world = World::start_with(|settings| settings.placing.per_customer = 1.into()).await;
    let flood = (0..20).map(|number| {
        let mut client = world.client();
        async move { client.place_order(request(&format!("flood-{number}"), &[("apple", 1)])).await }
    });
    let answers = join_all(flood).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    // A burst of twice the rate is allowed, however fast this machine is.
    assert!(taken.len() >= 2 && !refused.is_empty(), "{} taken, {} refused", taken.len(), refused.len());
    for answer in &refused {
        let status = answer.as_ref().unwrap_err();
        assert_eq!(reason(status), (Code::ResourceExhausted, Some("RATE_LIMITED".to_owned())));
        let details = Details::of(status);
        assert_eq!(details.quotas[0].description, "orders a second");
        assert!(details.retry_after.is_some());
    }
    let mut other = world.client_as(world.ids.next(), Role::Customer);
    other.place_order(request("other", &[("apple", 1)])).await.expect("another customer's order");
    assert_eq!(
        usize::try_from(world.count("orders").await).unwrap(),
        taken.len() + 1,
        "what is refused leaves nothing"
    );
    world.service.stop().await;
}
