//! The same key counts once, whatever becomes of the answer.

use std::time::Duration;

use tonic::Code;

use crate::fleet::fleet;

#[tokio::test]
async fn repeats_at_once_make_one_order() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(100, 50).await);
    let repeats = (0..20).map(|_| customer.place_order(vec![(product.clone(), 1)], "the-same"));
    let names: std::collections::BTreeSet<_> =
        futures::future::join_all(repeats).await.into_iter().map(|order| order.unwrap().name).collect();
    assert_eq!(names.len(), 1);
    fleet.assert_sound().await;
    assert_eq!(
        fleet.number("inventory", &format!("SELECT on_hand FROM stock WHERE product_id = '{product}'")).await,
        49
    );
}

#[tokio::test]
async fn a_key_with_another_body_is_a_conflict_and_a_refused_order_burns_no_key() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(100, 50).await);
    let refused = customer.place_order(vec![("no-such-product".to_owned(), 1)], "key").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    customer.place_order(vec![(product.clone(), 1)], "key").await.unwrap();
    let conflict = customer.place_order(vec![(product, 2)], "key").await.unwrap_err();
    assert_eq!(conflict.code(), Code::AlreadyExists);
    fleet.assert_sound().await;
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_placed_once() {
    const ORDERS: i64 = 30;
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(1_000_000).await, fleet.product(100, 1_000).await);
    for number in 0..ORDERS {
        let key = format!("lost-{number}");
        // The caller leaves at ever later moments: before it was read, in the queue, in the transaction, after it.
        let patience = Duration::from_micros(200 * u64::try_from(number).unwrap());
        drop(tokio::time::timeout(patience, customer.place_order(vec![(product.clone(), 1)], &key)).await);
        customer.place_order(vec![(product.clone(), 1)], &key).await.unwrap();
    }
    fleet.assert_sound().await;
    let orders = format!("SELECT count(*) FROM orders WHERE customer_id = '{}'", customer.user_id());
    assert_eq!(fleet.number("orders", &orders).await, ORDERS);
}
