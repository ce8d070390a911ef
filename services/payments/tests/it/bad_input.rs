//! Bad input: a clear error that names the field, and nothing written.

use flotilla_auth::Role;
use flotilla_proto::{
    google::r#type::Money,
    payments::v1::{
        GetAccountRequest, ListPostingsRequest, TopUpAccountRequest, payment_service_client::PaymentServiceClient,
    },
};
use flotilla_testkit::{fields, reason};
use tonic::{Code, Status};

use crate::support::{World, get, usd};

#[track_caller]
fn names(status: &Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(fields(status), [field], "{status:?}");
}

#[tokio::test]
async fn a_bad_top_up_names_its_field_and_writes_nothing() {
    let world = World::start().await;
    let customer = world.account(0).await;
    let sound =
        TopUpAccountRequest { name: format!("accounts/{customer}"), amount: Some(usd(100)), request_id: "key".into() };
    let money = |code: &str, units, nanos| Some(Money { currency_code: code.into(), units, nanos });
    for amount in [
        None,
        money("USD", 0, 0),
        money("USD", -1, 0),
        money("USD", 1, -1),
        money("USD", 0, 1),
        money("USD", i64::MAX, 999_999_999),
        money("USD", 10_000_000_000_001, 0),
        money("ZZZ", 1, 0),
        money("", 1, 0),
    ] {
        let status =
            world.operator().top_up_account(TopUpAccountRequest { amount, ..sound.clone() }).await.unwrap_err();
        names(&status, "amount");
    }
    names(
        &world
            .operator()
            .top_up_account(TopUpAccountRequest { amount: money("EUR", 1, 0), ..sound.clone() })
            .await
            .unwrap_err(),
        "amount.currency_code",
    );
    for request_id in [String::new(), "k".repeat(129), "a\0b".into()] {
        let status =
            world.operator().top_up_account(TopUpAccountRequest { request_id, ..sound.clone() }).await.unwrap_err();
        names(&status, "request_id");
    }
    for name in ["", "accounts/", "accounts/me", "users/0190a7e0-0000-7000-8000-000000000000", "accounts/a/postings/b"]
    {
        let bad = TopUpAccountRequest { name: name.into(), ..sound.clone() };
        names(&world.operator().top_up_account(bad).await.unwrap_err(), "name");
        let bad = GetAccountRequest { name: name.into() };
        names(&world.operator().get_account(bad).await.unwrap_err(), "name");
        let bad = ListPostingsRequest { parent: name.into(), ..ListPostingsRequest::default() };
        names(&world.operator().list_postings(bad).await.unwrap_err(), "parent");
    }
    assert_eq!(world.count("SELECT count(*) FROM transfers").await, 0);
    world.finish().await;
}

#[tokio::test]
async fn bad_pages_are_named() {
    let world = World::start().await;
    let customer = world.account(0).await;
    let list = |page_size, page_token: &str| ListPostingsRequest {
        parent: format!("accounts/{customer}"),
        page_size,
        page_token: page_token.into(),
        ..Default::default()
    };
    let mut client = world.customer(customer);
    names(&client.list_postings(list(-1, "")).await.unwrap_err(), "page_size");
    for token in ["rubbish", "AAAA", "\u{1F4A5}"] {
        names(&client.list_postings(list(0, token)).await.unwrap_err(), "page_token");
    }
    assert!(client.list_postings(list(i32::MAX, "")).await.is_ok());
    world.finish().await;
}

#[tokio::test]
async fn a_call_without_a_valid_token_is_unauthenticated() {
    let world = World::start().await;
    let customer = world.account(0).await;
    let anyone = PaymentServiceClient::new(world.service.channel()).get_account(get(customer)).await.unwrap_err();
    assert_eq!((anyone.code(), reason(&anyone).as_str()), (Code::Unauthenticated, "TOKEN_MISSING"));
    let expired = world.tokens.expired_token(customer, Role::Customer);
    let stranger = flotilla_testkit::TestIdentity::start().await;
    let foreign = stranger.token(customer, Role::Operator);
    for (token, expected) in
        [(expired.as_str(), "TOKEN_EXPIRED"), (&foreign, "TOKEN_INVALID"), ("x.y.z", "TOKEN_INVALID")]
    {
        let mut client = PaymentServiceClient::new(world.service.channel_as(token));
        let status = client.get_account(get(customer)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, expected));
    }
    world.finish().await;
}
