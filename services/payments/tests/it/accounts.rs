//! Accounts open with their users and close after them; a new one is waited for.

use std::time::Duration;

use flotilla_testkit::reason;
use tokio::time::Instant;
use tonic::{Code, Request};
use uuid::Uuid;

use crate::support::{World, get, usd, user_created, user_deleted};

/// A user from long ago.
const OLD: Uuid = Uuid::from_u128(0x0190_a7e0_0000_7000_8000_0000_0000_0001);

#[tokio::test]
async fn a_call_waits_for_a_new_users_account() {
    let world = World::start().await;
    let user = world.identity.ids.next();
    let (mut customer, mut operator) = (world.customer(user), world.operator());
    let late = async {
        // Both calls are known to wait: neither has been answered though the server has answered others.
        world.top_up(OLD, 1, "k").await.unwrap_err();
        world.identity.send(&[user_created(&world.identity.ids, user)]).await;
    };
    let (own, operators, added, ()) = tokio::join!(
        customer.get_account(get(user)),
        operator.get_account(get(user)),
        world.top_up(user, 500, "first"),
        late
    );
    assert_eq!(own.unwrap().into_inner().name, format!("accounts/{user}"));
    assert_eq!(operators.unwrap().into_inner().name, format!("accounts/{user}"));
    assert_eq!(added.unwrap().balance, Some(usd(500)));
    world.finish().await;
}

#[tokio::test]
async fn an_old_unknown_account_is_not_found_at_once_and_a_young_one_within_the_deadline() {
    let world = World::start().await;
    // If the call had waited in vain, the error would have a retry hint.
    for id in [OLD, Uuid::nil(), Uuid::max()] {
        let status = world.operator().get_account(get(id)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_FOUND"));
        assert_eq!(flotilla_rpc::Details::of(&status).retry_after, None, "it was waited for");
    }
    let status = world.top_up(OLD, 1, "k").await.unwrap_err();
    assert_eq!((status.code(), flotilla_rpc::Details::of(&status).retry_after), (Code::NotFound, None));

    let young = world.identity.ids.next();
    let mut request = Request::new(get(young));
    request.set_timeout(Duration::from_secs(4));
    let began = Instant::now();
    let status = world.customer(young).get_account(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(flotilla_rpc::Details::of(&status).retry_after.is_some());
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    world.finish().await;
}

#[tokio::test]
async fn calls_for_many_new_users_wait_together() {
    let world = World::start().await;
    let users: Vec<_> = (0..100).map(|_| world.identity.ids.next()).collect();
    let waits = users.iter().map(|user| {
        let mut customer = world.customer(*user);
        async move { customer.get_account(get(*user)).await.unwrap() }
    });
    let opened: Vec<_> = users.iter().map(|user| user_created(&world.identity.ids, *user)).collect();
    let (answers, ()) = tokio::join!(futures::future::join_all(waits), world.identity.send(&opened));
    assert_eq!(answers.len(), 100);
    world.finish().await;
}

#[tokio::test]
async fn an_account_stays_closed_although_its_events_arrive_out_of_order() {
    let world = World::start().await;
    let user = world.identity.ids.next();
    let ids = &world.identity.ids;
    world.identity.send(&[user_deleted(ids, user)]).await;
    world.counts("SELECT count(*) FROM accounts WHERE closed_at IS NOT NULL", 1).await;
    world.identity.send(&[user_created(ids, user), user_created(ids, user), user_deleted(ids, user)]).await;
    world.counts("SELECT count(*) FROM inbox WHERE consumer = 'payments-identity'", 2).await;
    assert_eq!(world.count("SELECT count(*) FROM accounts WHERE closed_at IS NOT NULL").await, 1);
    assert_eq!(world.count("SELECT count(*) FROM accounts").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn a_customer_sees_only_their_own_account() {
    let world = World::start().await;
    let (ann, bob) = (world.account(100).await, world.account(200).await);
    assert_eq!(world.balance(ann).await, 100);
    let hidden = world.customer(ann).get_account(get(bob)).await.unwrap_err();
    let missing = world.customer(ann).get_account(get(OLD)).await.unwrap_err();
    assert_eq!((hidden.code(), reason(&hidden)), (missing.code(), reason(&missing)));
    assert_eq!(hidden.code(), Code::NotFound);
    assert_eq!(world.operator().get_account(get(bob)).await.unwrap().into_inner().balance, Some(usd(200)));
    world.finish().await;
}
