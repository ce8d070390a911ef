//! Bad input: a clear error that names the field, and nothing written.

use flotilla_auth::Role;
use flotilla_proto::google::r#type::Money;
use flotilla_proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, PlaceOrderRequest, WatchOrderRequest,
};
use flotilla_rpc::Details;
use tonic::{Code, Status};

use crate::world::{World, request};

/// What an error must contain: reason and field.
struct Expected(&'static str, &'static str);

#[track_caller]
fn refused(what: &str, status: &Status, expected: &Expected) {
    let details = Details::of(status);
    assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status}");
    assert_eq!(details.reason.as_deref(), Some(expected.0), "{what}");
    let fields: Vec<_> = details.violations.iter().map(|violation| violation.field.as_str()).collect();
    assert!(fields.contains(&expected.1), "{what}: {fields:?}");
}

fn with_total(currency_code: &str, units: i64, nanos: i32) -> PlaceOrderRequest {
    let total = Money { currency_code: currency_code.into(), units, nanos };
    PlaceOrderRequest { expected_total: Some(total), ..request("k", &[("apple", 1)]) }
}

#[tokio::test]
async fn a_bad_order_is_refused_by_field_and_nothing_is_written() {
    let world = World::start().await;
    let invalid = |field| Expected("INVALID_ARGUMENT", field);
    let long_key = "k".repeat(129);
    let long_name = "a".repeat(64);
    let cases = [
        ("no lines", request("k", &[]), invalid("lines")),
        ("10,000 lines", request("k", &vec![("apple", 1); 10_000]), invalid("lines")),
        ("501 lines", request("k", &vec![("apple", 1); 501]), invalid("lines")),
        ("1,001 lines", request("k", &vec![("apple", 1); 1_001]), invalid("lines")),
        ("zero", request("k", &[("apple", 1), ("pear", 0)]), invalid("lines[1].quantity")),
        ("negative", request("k", &[("apple", -5)]), invalid("lines[0].quantity")),
        ("too many units", request("k", &[("apple", 1_000_001)]), invalid("lines[0].quantity")),
        ("bad product", request("k", &[("Apple Pie", 1)]), invalid("lines[0].product")),
        ("long product", request("k", &[(&long_name, 1)]), invalid("lines[0].product")),
        ("SQL", request("k", &[("a'; DROP TABLE orders; --", 1)]), invalid("lines[0].product")),
        ("no key", request("", &[("apple", 1)]), invalid("request_id")),
        ("long key", request(&long_key, &[("apple", 1)]), invalid("request_id")),
        ("NUL in key", request("a\0b", &[("apple", 1)]), invalid("request_id")),
        ("unknown product", request("k", &[("ghost", 1)]), Expected("UNKNOWN_PRODUCT", "lines[0].product")),
        ("mixed", request("k", &[("apple", 1), ("tea", 1)]), Expected("MIXED_CURRENCIES", "lines")),
        ("line overflow", request("k", &[("gold", 2)]), Expected("TOTAL_TOO_LARGE", "lines")),
        ("sum overflow", request("k", &[("gold", 1), ("apple", 1)]), Expected("TOTAL_TOO_LARGE", "lines")),
        ("unknown currency", with_total("XXX", 1, 0), invalid("expected_total")),
        ("signs", with_total("USD", 1, -1), invalid("expected_total")),
        ("half a cent", with_total("USD", 0, 5_000_000), invalid("expected_total")),
        ("huge total", with_total("USD", i64::MAX, 0), invalid("expected_total")),
    ];
    for (what, request, expected) in cases {
        let status = world.client().place_order(request).await.unwrap_err();
        refused(what, &status, &expected);
    }
    world.assert_nothing_written().await;
    world.stop().await;
}

#[tokio::test]
async fn a_bad_name_is_refused_by_every_method() {
    let world = World::start().await;
    let mut client = world.client();
    for name in ["", "orders", "orders/", "orders/7", "users/0190b5a0-0000-7000-8000-000000000000", "orders/a/b"] {
        let name = name.to_owned();
        let got = client.get_order(GetOrderRequest { name: name.clone() }).await.unwrap_err();
        let cancel = CancelOrderRequest { name: name.clone(), etag: String::new() };
        let cancelled = client.cancel_order(cancel).await.unwrap_err();
        let watch = WatchOrderRequest { name: name.clone(), resume_token: String::new() };
        let watched = client.watch_order(watch).await.err().unwrap();
        for status in [got, cancelled, watched] {
            refused(&name, &status, &Expected("INVALID_ARGUMENT", "name"));
        }
    }
    let order = world.order().await;
    let watch = WatchOrderRequest { name: format!("orders/{order}"), resume_token: "soon".into() };
    let status = client.watch_order(watch).await.err().unwrap();
    refused("resume token", &status, &Expected("INVALID_ARGUMENT", "resume_token"));
    world.stop().await;
}

#[tokio::test]
async fn a_bad_page_is_refused() {
    let world = World::start().await;
    for _ in 0..3 {
        world.order().await;
    }
    let list = |page_size, page_token: &str, customer: &str| {
        let request = ListOrdersRequest {
            page_size,
            page_token: page_token.into(),
            customer: customer.into(),
            ..Default::default()
        };
        let mut client = world.client();
        async move { client.list_orders(request).await }
    };
    let token = list(1, "", "").await.unwrap().into_inner().next_page_token;
    let mut forged = token.clone();
    forged.replace_range(0..1, if token.starts_with('A') { "B" } else { "A" });
    for bad in ["rubbish", "%%%", &forged, &"A".repeat(5000)] {
        let status = list(1, bad, "").await.unwrap_err();
        refused(bad, &status, &Expected("INVALID_ARGUMENT", "page_token"));
    }
    let own = format!("users/{}", world.customer);
    let status = list(1, &token, &own).await.unwrap_err();
    refused("token of another query", &status, &Expected("INVALID_ARGUMENT", "page_token"));
    let mut stranger = world.client_as(world.ids.next(), Role::Customer);
    let stolen = ListOrdersRequest { page_size: 1, page_token: token, ..Default::default() };
    let status = stranger.list_orders(stolen).await.unwrap_err();
    refused("token of another customer", &status, &Expected("INVALID_ARGUMENT", "page_token"));
    refused("size", &list(-1, "", "").await.unwrap_err(), &Expected("INVALID_ARGUMENT", "page_size"));
    refused("customer", &list(1, "", "users/me").await.unwrap_err(), &Expected("INVALID_ARGUMENT", "customer"));
    assert_eq!(list(100_000, "", "").await.unwrap().into_inner().orders.len(), 3);
    world.stop().await;
}

#[tokio::test]
async fn a_call_without_a_valid_token_is_unauthenticated() {
    let world = World::start().await;
    let expired = world.identity.expired_token(world.customer, Role::Customer);
    let channels = [world.service.channel(), world.service.channel_as("rubbish"), world.service.channel_as(&expired)];
    for channel in channels {
        let mut client = crate::world::Client::new(channel);
        let status = client.place_order(request("k", &[("apple", 1)])).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    world.assert_nothing_written().await;
    world.stop().await;
}
