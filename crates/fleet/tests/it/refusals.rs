//! Orders that can't be fulfilled: nothing stays held, nothing stays charged.

use flotilla_proto::orders::v1::{OrderReason, OrderState};

use crate::fleet::fleet;

#[tokio::test]
async fn a_declined_payment_gives_the_stock_back() {
    let fleet = fleet().await;
    let customer = fleet.customer(1_000).await;
    let product = fleet.product(2_500, 10).await;
    let placed = customer.place_order(vec![(product.clone(), 1)], "too-dear").await.unwrap();
    let order = fleet.until_state(&customer, &placed.name, OrderState::Rejected).await;
    assert_eq!(order.reason(), OrderReason::InsufficientFunds);
    fleet.assert_sound().await;
    assert_eq!(
        fleet.number("inventory", &format!("SELECT reserved FROM stock WHERE product_id = '{product}'")).await,
        0
    );
}

#[tokio::test]
async fn an_order_of_more_than_there_is_holds_nothing_and_charges_nothing() {
    let fleet = fleet().await;
    let customer = fleet.customer(100_000).await;
    let (plenty, scarce) = (fleet.product(100, 1_000).await, fleet.product(100, 2).await);
    let placed = customer.place_order(vec![(plenty.clone(), 1), (scarce, 3)], "too-many").await.unwrap();
    let order = fleet.until_state(&customer, &placed.name, OrderState::Rejected).await;
    assert_eq!(order.reason(), OrderReason::OutOfStock);
    fleet.assert_sound().await;
    assert_eq!(
        fleet.number("inventory", &format!("SELECT reserved FROM stock WHERE product_id = '{plenty}'")).await,
        0
    );
}

#[tokio::test]
async fn one_unit_of_stock_and_many_buyers_make_one_sale() {
    const BUYERS: usize = 40;
    let fleet = fleet().await;
    let customer = fleet.customer(10_000_000).await;
    let product = fleet.product(100, 1).await;
    let buys = (0..BUYERS).map(|buyer| {
        let (customer, product) = (&customer, product.clone());
        async move { customer.place_order(vec![(product, 1)], &format!("buyer-{buyer}")).await.unwrap() }
    });
    futures::future::join_all(buys).await;
    fleet.assert_sound().await;
    let sold = format!(
        "SELECT count(*) FROM orders WHERE customer_id = '{}' AND state::text = 'confirmed'",
        customer.user_id()
    );
    assert_eq!(fleet.number("orders", &sold).await, 1);
}
