//! One order's way, put together from the services' own tables.

use flotilla_checker::timeline;
use flotilla_proto::orders::v1::OrderState;

use crate::fleet::fleet;

#[tokio::test]
async fn a_timeline_shows_every_step_in_every_service() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(2_500, 10).await);
    let order = customer.place_order(vec![(product, 1)], "told-step-by-step").await.unwrap();
    fleet.until_state(&customer, &order.name, OrderState::Confirmed).await;
    fleet.assert_sound().await;
    let id = order.name.trim_start_matches("orders/").parse().unwrap();
    let text = timeline::render(&fleet.databases, id).await.unwrap();
    for step in [
        "out ReserveStock",
        "in StockReserved",
        "reservation made, now committed",
        "out ChargePayment",
        "charge 25.00 USD",
        "in PaymentCharged",
        "out CommitStock",
        "out OrderConfirmed",
        "delivery order_confirmed",
    ] {
        assert!(text.contains(step), "{step} is missing:\n{text}");
    }
    let printed = fleet.command(&["timeline", &order.name]).await;
    assert!(printed.success && printed.stdout == text, "{printed:?}");
    let unknown = fleet.command(&["timeline", "orders/00000000-0000-7000-8000-000000000000"]).await;
    assert!(!unknown.success && unknown.stderr.contains("there is no order"), "{unknown:?}");
}
