//! Bad input over gRPC gets an error that names the field; good pages lead through everything.

use flotilla_messaging::Event;
use flotilla_proto::notification::v1::{Delivery, DeliveryKind, ListDeliveriesRequest, StreamDeliveriesRequest};
use flotilla_testkit::fields;
use tonic::{Code, Status};

use crate::world::World;

/// The fields that an `INVALID_ARGUMENT` names.
fn faults(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    fields(status)
}

#[tokio::test]
async fn bad_tokens_and_sizes_are_refused() {
    let world = World::start().await;
    let mut ada = world.customer(world.ids.next());
    for resume_token in ["rubbish", "1", "s", "s-1", "s1 ", "s99999999999999999999"] {
        let request = StreamDeliveriesRequest { resume_token: resume_token.into() };
        assert_eq!(faults(&ada.stream_deliveries(request).await.unwrap_err()), ["resume_token"], "{resume_token}");
    }
    let request = ListDeliveriesRequest { page_size: -1, ..Default::default() };
    assert_eq!(faults(&ada.list_deliveries(request).await.unwrap_err()), ["page_size"]);
    for page_token in ["rubbish".to_owned(), "A".repeat(4_000)] {
        let request = ListDeliveriesRequest { page_size: 1, page_token, ..Default::default() };
        assert_eq!(faults(&ada.list_deliveries(request).await.unwrap_err()), ["page_token"]);
    }
    world.finish().await;
}

#[tokio::test]
async fn pages_list_deliveries_newest_first() {
    let world = World::start().await;
    let ada = world.ids.next();
    let events: Vec<Event> = (0..25).map(|_| world.confirmed(ada, world.ids.next())).collect();
    world.send_until(&events, 25).await;
    let (mut seen, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = ListDeliveriesRequest { page_size: 10, page_token, ..Default::default() };
        let page = world.customer(ada).list_deliveries(request).await.unwrap().into_inner();
        seen.extend(page.deliveries.iter().map(|delivery| delivery.sequence));
        (page_token, pages) = (page.next_page_token, pages + 1);
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((seen, pages), ((1..=25).rev().collect::<Vec<i64>>(), 3));
    world.finish().await;
}

#[tokio::test]
async fn deliveries_are_filtered_and_sorted_as_asked() {
    let world = World::start().await;
    let (ada, order) = (world.ids.next(), world.ids.next());
    let events = [world.signed_up(ada), world.charged(ada, order), world.confirmed(ada, order)];
    world.send_until(&events, 3).await;
    let mut client = world.customer(ada);
    let mut kinds = async |filter: &str, order_by: &str| {
        let request = ListDeliveriesRequest { filter: filter.into(), order_by: order_by.into(), ..Default::default() };
        let page = client.list_deliveries(request).await?.into_inner();
        Ok::<_, Status>(page.deliveries.iter().map(Delivery::kind).collect::<Vec<_>>())
    };
    assert_eq!(kinds("kind = WELCOME", "").await.unwrap(), [DeliveryKind::Welcome]);
    let of_order = kinds(&format!("order = orders/{order}"), "create_time").await.unwrap();
    assert_eq!(of_order.len(), 2);
    assert!(!of_order.contains(&DeliveryKind::Welcome));
    assert_eq!(kinds("NOT kind = WELCOME", "").await.unwrap().len(), 2);
    assert_eq!(faults(&kinds("kind = NONSENSE", "").await.unwrap_err()), ["filter"]);
    assert_eq!(faults(&kinds("", "text").await.unwrap_err()), ["order_by"]);
    world.finish().await;
}
