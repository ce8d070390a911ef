//! More streams than one connection to a service carries: watches of all prices, and of the attacker's own order.

use std::{net::SocketAddr, sync::Arc};

use flotilla_proto::{inventory::v1::WatchPricesRequest, orders::v1::WatchOrderRequest};
use prost::Message;

use crate::{
    attackers::{Attack, connect, grpc, is_begun},
    fleet::{fleet, run},
};

const STREAMS: usize = 2_000;
/// Streams on one connection.
const EACH: usize = 500;
const PRICES: &str = "/flotilla.inventory.v1.CatalogService/WatchPrices";
const ORDER: &str = "/flotilla.orders.v1.OrderService/WatchOrder";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_watches_of_prices_do_not_slow_down_others() {
    let fleet = fleet().await;
    let gateway = fleet.gateway();
    let [(product, _), _] = fleet.shop.two_lines(0);
    let request = WatchPricesRequest { filter: format!("name = \"products/{product}\""), ..Default::default() };
    fleet.withstands("2,000 anonymous watches of a price", async || watch(gateway, PRICES, &request, None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_watches_of_one_order_do_not_slow_down_others() {
    let fleet = fleet().await;
    let gateway = fleet.gateway();
    let customer = fleet.api.sign_up("watcher@attack.example", "A watcher", "a long password").await.unwrap();
    let token = customer.authorization().to_str().unwrap().to_owned();
    let [line, _] = fleet.shop.two_lines(0);
    fleet
        .withstands("2,000 watches of one order", async || {
            // Without payments the order doesn't end, so its watches stay open.
            run(fleet.home.clone(), &["stop", "payments"]).await;
            let order = customer.place_order(vec![line], "watched").await.unwrap();
            let request = WatchOrderRequest { name: order.name, ..WatchOrderRequest::default() };
            watch(gateway, ORDER, &request, Some(&token)).and_then(run(fleet.home.clone(), &["start", "payments"]))
        })
        .await;
}

/// Opens all streams and keeps them open.
fn watch(
    gateway: SocketAddr,
    path: &'static str,
    message: &(impl Message + Clone + 'static),
    token: Option<&str>,
) -> Attack {
    let mut attack = Attack::new(STREAMS);
    let (message, token) = (Arc::new(message.clone()), token.map(str::to_owned));
    for _ in 0..STREAMS / EACH {
        let (deeds, message, token) = (Arc::clone(&attack.deeds), Arc::clone(&message), token.clone());
        attack.spawn(async move {
            let sender = connect(gateway).await.expect("let in");
            let streams = (0..EACH).map(|_| {
                let (mut sender, deeds) = (sender.clone(), Arc::clone(&deeds));
                let request = grpc(gateway, path, message.as_ref(), token.as_deref());
                async move {
                    let answer = sender.send_request(request).await;
                    deeds.note(answer.as_ref().is_ok_and(is_begun));
                    answer
                }
            });
            let _kept = futures::future::join_all(streams).await;
            std::future::pending::<()>().await;
        });
    }
    attack
}
