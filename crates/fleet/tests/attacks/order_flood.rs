//! One customer places orders without pause, with a fixed number in flight.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use flotilla_money::{Amount, Currency};
use flotilla_proto::orders::v1::{PlaceOrderLine, PlaceOrderRequest};
use flotilla_workload::{client::Session, demo::Shop};
use http_body_util::BodyExt as _;

use crate::{
    attackers::{Attack, Deeds, Sender, connect, grpc, is_begun},
    fleet::{Fleet, fleet},
};

/// Orders in flight.
const IN_FLIGHT: usize = 256;
const CONNECTIONS: usize = 8;
const PLACE: &str = "/flotilla.orders.v1.OrderService/PlaceOrder";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_orders_by_one_customer_does_not_slow_down_others() {
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
                let flood =
                    Flood { gateway, deeds: Arc::clone(&attack.deeds), shop: Arc::clone(&shop), token: token.clone() };
                let number = Arc::clone(&number);
                attack.spawn(async move {
                    let sender = connect(gateway).await.expect("let in");
                    let floods = (0..IN_FLIGHT / CONNECTIONS).map(|_| flood.go_on(sender.clone(), &number));
                    futures::future::join_all(floods).await;
                });
            }
            attack
        })
        .await;
}

/// What each part of the flood needs.
struct Flood {
    gateway: SocketAddr,
    deeds: Arc<Deeds>,
    shop: Arc<Shop>,
    token: String,
}

impl Flood {
    /// Places one order after another until the connection ends.
    async fn go_on(&self, mut sender: Sender, number: &AtomicUsize) {
        loop {
            let number = number.fetch_add(1, Ordering::Relaxed);
            let line = |(product, quantity)| PlaceOrderLine { product: format!("products/{product}"), quantity };
            let lines = self.shop.two_lines(number).map(line).into();
            let order = PlaceOrderRequest { lines, expected_total: None, request_id: format!("flood-{number}") };
            let request = grpc(self.gateway, PLACE, &order, Some(&self.token));
            let Ok(response) = sender.send_request(request).await else { return };
            self.deeds.note(is_begun(&response));
            let _read = response.into_body().collect().await;
        }
    }
}

async fn rich(fleet: &Fleet) -> Session {
    let customer = fleet.api.sign_up("flood@attack.example", "A flood", "a long password").await.unwrap();
    let amount = Amount { minor: 1_000_000_000_000, currency: Currency::parse("USD").unwrap() };
    fleet.operator.top_up(customer.user_id(), amount.into(), "flood").await.unwrap();
    customer
}
