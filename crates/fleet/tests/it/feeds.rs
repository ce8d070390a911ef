//! Live feeds through the gateway, as a browser's EventSource reads them.

use std::collections::BTreeSet;

use flotilla_proto::orders::v1::OrderState;

use crate::{
    fleet::fleet,
    http::{self, Events},
};

#[tokio::test]
async fn a_watch_sends_each_state_and_ends_with_the_order() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(100, 50).await);
    let order = customer.place_order(vec![(product, 1)], "watched").await.unwrap();
    let token = customer.authorization();
    let address = &fleet.state.member("gateway").unwrap().address;
    let path = format!("/v1/{}:watch", order.name);
    let mut events = Events::open(address, &path, token.to_str().unwrap(), None).await;
    let (mut states, mut last) = (Vec::new(), None);
    while let Some(event) = events.next().await {
        if event.name != "end" {
            states.push(event.json()["order"]["state"].as_str().unwrap().to_owned());
        }
        last = Some(event);
    }
    assert_eq!(last.unwrap().name, "end", "a watch says that it has come to its end");
    assert_eq!(states.last().map(String::as_str), Some("ORDER_STATE_CONFIRMED"), "{states:?}");
    let all = ["ORDER_STATE_RESERVING", "ORDER_STATE_CHARGING", "ORDER_STATE_CONFIRMED"];
    assert!(all.ends_with(&states.iter().map(String::as_str).collect::<Vec<_>>()), "{states:?}");
    fleet.assert_sound().await;
}

#[tokio::test]
async fn a_client_that_reconnects_again_and_again_misses_no_notification() {
    const ORDERS: i64 = 20;
    // A welcome, a top-up, and for each order its payment and its confirmation.
    const DELIVERIES: i64 = 2 + 2 * ORDERS;
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(100_000).await, fleet.product(100, 500).await);
    let token = customer.authorization();
    let token = token.to_str().unwrap();
    let address = &fleet.state.member("gateway").unwrap().address;
    let place = async {
        for number in 0..ORDERS {
            let order = customer.place_order(vec![(product.clone(), 1)], &format!("told-{number}")).await.unwrap();
            fleet.until_state(&customer, &order.name, OrderState::Confirmed).await;
        }
    };
    let listen = async {
        let (mut seen, mut last) = (BTreeSet::new(), None::<String>);
        let mut repeats = 0;
        while !seen.contains(&DELIVERIES) {
            let mut events = Events::open(address, "/v1/notifications:stream", token, last.as_deref()).await;
            // Three events, then the connection is dropped without a word.
            for _ in 0..3 {
                if seen.contains(&DELIVERIES) {
                    break;
                }
                let event = events.next().await.unwrap();
                let sequence = event.json()["delivery"]["sequence"].as_str().unwrap().parse::<i64>().unwrap();
                repeats += usize::from(!seen.insert(sequence));
                last = event.id;
            }
        }
        (seen, repeats)
    };
    let ((), (seen, repeats)) = tokio::join!(place, listen);
    assert_eq!(seen, (1..=DELIVERIES).collect());
    assert_eq!(repeats, 0, "a feed that resumes begins after the last event");
    fleet.assert_sound().await;
}

#[tokio::test]
async fn a_resumption_from_nowhere_is_refused() {
    let fleet = fleet().await;
    let customer = fleet.customer(0).await;
    let token = customer.authorization();
    let address = &fleet.state.member("gateway").unwrap().address;
    let headers = [("last-event-id", "nonsense")];
    let path = "/v1/notifications:stream";
    let answer = http::send(address, "GET", path, Some(token.to_str().unwrap()), &headers, b"").await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.head.contains("application/problem+json"), "{answer:?}");
}
