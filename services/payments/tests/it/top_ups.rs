//! Top-ups: once for a request id, all counted, announced.

use flotilla_proto::payments::v1::AccountToppedUp;
use flotilla_testkit::{eventually, reason};
use tonic::Code;

use crate::support::{TIMEOUT, World, usd, user_deleted};

#[tokio::test]
async fn a_top_up_counts_once_for_its_request_id() {
    let world = World::start().await;
    let customer = world.account(0).await;
    let account = world.top_up(customer, 1_050, "key-1").await.unwrap();
    assert_eq!(account.balance, Some(usd(1_050)));
    assert_eq!(world.top_up(customer, 1_050, "key-1").await.unwrap().balance, Some(usd(1_050)));
    let status = world.top_up(customer, 1_051, "key-1").await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
    // A request id is the account's own.
    let other = world.account(0).await;
    assert_eq!(world.top_up(other, 7, "key-1").await.unwrap().balance, Some(usd(7)));
    assert_eq!(world.balance(customer).await, 1_050);
    world.finish().await;
}

#[tokio::test]
async fn concurrent_top_ups_all_count_and_repeats_among_them_do_not() {
    let world = World::start().await;
    let (ann, bob) = (world.account(0).await, world.account(0).await);
    let calls = (0..120_i32).map(|number| {
        let (world, customer) = (&world, if number % 2 == 0 { ann } else { bob });
        // Each key comes twice for each of the two.
        async move { world.top_up(customer, 3, &format!("key-{}", number / 4)).await.unwrap() }
    });
    futures::future::join_all(calls).await;
    assert_eq!((world.balance(ann).await, world.balance(bob).await), (90, 90));
    assert_eq!(world.count("SELECT count(*) FROM transfers WHERE kind = 'top_up'").await, 60);
    let received = || async { world.orders.uncaused().len() == 60 };
    eventually("sixty AccountToppedUp", TIMEOUT, received).await;
    for event in world.orders.uncaused() {
        let topped_up: AccountToppedUp = event.decode().unwrap();
        assert_eq!((topped_up.amount_minor, topped_up.currency_code.as_str()), (3, "USD"));
        assert_eq!(event.aggregate, format!("accounts/{}", topped_up.customer_id));
    }
    world.finish().await;
}

#[tokio::test]
async fn a_refused_top_up_changes_nothing_and_does_not_use_up_its_key() {
    let world = World::start().await;
    let customer = world.account(0).await;
    let mut euros = usd(100);
    euros.currency_code = "EUR".into();
    let request = flotilla_proto::payments::v1::TopUpAccountRequest {
        name: format!("accounts/{customer}"),
        amount: Some(euros),
        request_id: "key".into(),
    };
    let status = world.operator().top_up_account(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "CURRENCY_MISMATCH"));

    let most = flotilla_payments::domain::MAX_BALANCE_MINOR;
    world.top_up(customer, most, "most").await.unwrap();
    let status = world.top_up(customer, 1, "key").await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "BALANCE_TOO_LARGE"));
    assert_eq!(world.balance(customer).await, most);

    let other = world.account(0).await;
    world.top_up(other, 5, "key").await.unwrap();
    world.identity.send(&[user_deleted(&world.identity.ids, other)]).await;
    world.counts("SELECT count(*) FROM accounts WHERE closed_at IS NOT NULL", 1).await;
    let status = world.top_up(other, 5, "late").await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "ACCOUNT_CLOSED"));
    // What counted before still counts as done.
    assert!(world.top_up(other, 5, "key").await.is_ok());
    world.finish().await;
}

#[tokio::test]
async fn only_operators_top_up() {
    let world = World::start().await;
    let customer = world.account(0).await;
    let request = flotilla_proto::payments::v1::TopUpAccountRequest {
        name: format!("accounts/{customer}"),
        amount: Some(usd(100)),
        request_id: "key".into(),
    };
    let status = world.customer(customer).top_up_account(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(world.balance(customer).await, 0);
    world.finish().await;
}
