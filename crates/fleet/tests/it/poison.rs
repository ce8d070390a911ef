//! Messages that can't be applied are parked, and stand in nobody's way.

use std::sync::atomic::Ordering;

use flotilla_proto::orders::v1::OrderState;

use crate::fleet::{PLANTED, fleet};

#[tokio::test]
async fn a_poison_message_is_parked_and_orders_continue() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(100, 50).await);
    let before = fleet.number("inventory", "SELECT count(*) FROM parked").await;
    let client = flotilla_messaging::broker::nats::connect(&fleet.databases.nats_url).await.unwrap();
    let context = async_nats::jetstream::new(client);
    context.publish("flotilla.orders.inventory", "this is no frame".into()).await.unwrap().await.unwrap();
    PLANTED.fetch_add(1, Ordering::Relaxed);

    let order = customer.place_order(vec![(product, 1)], "behind-the-poison").await.unwrap();
    fleet.until_state(&customer, &order.name, OrderState::Confirmed).await;
    fleet.assert_sound().await;
    assert_eq!(fleet.number("inventory", "SELECT count(*) FROM parked WHERE state::text = 'dead'").await, before + 1);
}
