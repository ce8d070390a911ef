//! The happy way: reserved, paid, confirmed, told.

use flotilla_proto::{
    notification::v1::{
        Delivery, DeliveryKind, ListDeliveriesRequest, notification_service_client::NotificationServiceClient,
    },
    orders::v1::OrderState,
};
use tonic::Request;

use crate::fleet::{Fleet, fleet};

#[tokio::test]
async fn an_order_is_reserved_paid_confirmed_and_announced() {
    happy_way(&fleet().await).await;
}

/// An order's happy way on this fleet.
pub async fn happy_way(fleet: &Fleet) {
    let customer = fleet.customer(10_000).await;
    let product = fleet.product(2_500, 10).await;
    let placed = customer.place_order(vec![(product.clone(), 3)], "first").await.unwrap();
    assert_eq!(placed.total.as_ref().map(|total| (total.units, total.nanos)), Some((75, 0)));

    let order = fleet.until_state(&customer, &placed.name, OrderState::Confirmed).await;
    assert!(order.end_time.is_some());
    fleet.assert_sound().await;
    assert_eq!(
        fleet.number("inventory", &format!("SELECT on_hand FROM stock WHERE product_id = '{product}'")).await,
        7
    );
    let balance = format!("SELECT balance_minor FROM accounts WHERE customer_id = '{}'", customer.user_id());
    assert_eq!(fleet.number("payments", &balance).await, 2_500);

    let mut request = Request::new(ListDeliveriesRequest::default());
    request.metadata_mut().insert("authorization", customer.authorization());
    let list = NotificationServiceClient::new(fleet.api.channel()).list_deliveries(request).await.unwrap().into_inner();
    let mut kinds: Vec<_> = list.deliveries.iter().map(Delivery::kind).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            DeliveryKind::Welcome,
            DeliveryKind::OrderConfirmed,
            DeliveryKind::PaymentCharged,
            DeliveryKind::AccountToppedUp
        ]
    );
}
