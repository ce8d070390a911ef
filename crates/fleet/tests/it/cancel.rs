//! Cancelling in every state.

use flotilla_fleet::runtime;
use flotilla_proto::orders::v1::OrderState;
use tonic::Code;

use crate::fleet::fleet;

#[tokio::test]
async fn an_order_is_cancelled_while_its_stock_is_being_reserved() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(1_000, 5).await);
    runtime::of(&fleet.home).stop(&fleet.home, "inventory").await.unwrap();
    let placed = customer.place_order(vec![(product.clone(), 1)], "soon-cancelled").await;
    let cancelled = match &placed {
        Ok(order) => customer.cancel_order(&order.name).await,
        Err(status) => Err(status.clone()),
    };
    runtime::of(&fleet.home).start(&fleet.home, "inventory").await.unwrap();
    let order = placed.unwrap();
    assert_eq!(cancelled.unwrap().state(), OrderState::Compensating);
    fleet.until_state(&customer, &order.name, OrderState::Cancelled).await;
    fleet.assert_sound().await;
    assert_eq!(
        fleet.number("inventory", &format!("SELECT reserved FROM stock WHERE product_id = '{product}'")).await,
        0
    );
}

#[tokio::test]
async fn an_order_is_cancelled_while_it_is_being_charged() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(1_000, 5).await);
    runtime::of(&fleet.home).stop(&fleet.home, "payments").await.unwrap();
    let order = customer.place_order(vec![(product, 1)], "late-cancelled").await.unwrap();
    fleet.until_state(&customer, &order.name, OrderState::Charging).await;
    let cancelled = customer.cancel_order(&order.name).await;
    runtime::of(&fleet.home).start(&fleet.home, "payments").await.unwrap();
    assert_eq!(cancelled.unwrap().state(), OrderState::Compensating);
    fleet.until_state(&customer, &order.name, OrderState::Cancelled).await;
    fleet.assert_sound().await;
    let balance = format!("SELECT balance_minor FROM accounts WHERE customer_id = '{}'", customer.user_id());
    assert_eq!(fleet.number("payments", &balance).await, 10_000);
    assert_eq!(customer.cancel_order(&order.name).await.unwrap().state(), OrderState::Cancelled, "again is no error");
}

#[tokio::test]
async fn an_order_that_has_ended_otherwise_is_not_cancelled() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(1_500).await, fleet.product(1_000, 5).await);
    let paid = customer.place_order(vec![(product.clone(), 1)], "paid").await.unwrap();
    fleet.until_state(&customer, &paid.name, OrderState::Confirmed).await;
    let unpaid = customer.place_order(vec![(product, 1)], "unpaid").await.unwrap();
    fleet.until_state(&customer, &unpaid.name, OrderState::Rejected).await;
    for order in [paid, unpaid] {
        assert_eq!(customer.cancel_order(&order.name).await.unwrap_err().code(), Code::FailedPrecondition);
    }
    fleet.assert_sound().await;
}
