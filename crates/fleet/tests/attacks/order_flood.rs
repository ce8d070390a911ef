//! One customer places orders without pause, with a fixed number in flight.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use flotilla_fleet::client::Session;
use flotilla_proto::{
    money::{Amount, Currency},
    orders::v1::{PlaceOrderLine, PlaceOrderRequest},
};
use http_body_util::BodyExt as _;

use crate::{
    attackers::{Attack, connect, grpc, is_begun},
    fleet::{Fleet, fleet},
};

/// Orders in flight.
const IN_FLIGHT: usize = 256;
const CONNECTIONS: usize = 8;
const PLACE: &str = "/flotilla.orders.v1.OrderService/PlaceOrder";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_orders_by_one_customer_is_not_felt() {
    let fleet = fleet().await;
    let customer = rich(&fleet).await;
    let token = customer.authorization().to_str().unwrap().to_owned();
    let gateway = fleet.gateway();
    let shop = Arc::clone(&fleet.shop);
    let number = Arc::new(AtomicUsize::new(0));
    fleet
        .withstands("a flood of orders by one customer", async || {
            let mut attack = Attack::new(IN_FLIGHT * 4);
            for _ in 0..CONNECTIONS {
                let sender = connect(gateway).await.expect("let in");
                for _ in 0..IN_FLIGHT / CONNECTIONS {
                    let (deeds, shop, number) = (Arc::clone(&attack.deeds), Arc::clone(&shop), Arc::clone(&number));
                    let (mut sender, token) = (sender.clone(), token.clone());
                    attack.spawn(async move {
                        loop {
                            let number = number.fetch_add(1, Ordering::Relaxed);
                            let line = |(product, quantity)| PlaceOrderLine {
                                product: format!("products/{product}"),
                                quantity,
                            };
                            let lines = shop.two_lines(number).map(line).into();
                            let request_id = format!("flood-{number}");
                            let order = PlaceOrderRequest { lines, expected_total: None, request_id };
                            let request = grpc(gateway, PLACE, &order, Some(&token));
                            let Ok(response) = sender.send_request(request).await else { return };
                            deeds.note(is_begun(&response));
                            let _read = response.into_body().collect().await;
                        }
                    });
                }
            }
            attack
        })
        .await;
}

async fn rich(fleet: &Fleet) -> Session {
    let customer = fleet.api.sign_up("flood@attack.example", "A flood", "a long password").await.unwrap();
    let amount = Amount { minor: 1_000_000_000_000, currency: Currency::parse("USD").unwrap() };
    fleet.operator.top_up(customer.user_id(), amount.to_proto(), "flood").await.unwrap();
    customer
}
