//! Deadlines end calls, shrink over hops and spare streams.

use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_proto::inventory::v1::stock_service_client::StockServiceClient;
use flotilla_proto::orders::v1::order_service_client::OrderServiceClient;
use flotilla_rpc::{Details, ServerSettings};
use tonic::{Code, Request};

use crate::toy::{Toy, settings, stock_of, watch_request};

/// Short, but long enough for a busy machine to begin a call.
fn short() -> ServerSettings {
    ServerSettings { default_deadline: HumanDuration::from_secs(3), ..settings() }
}

#[tokio::test]
async fn a_call_that_outlives_its_deadline_is_cancelled() {
    let toy = Toy::start(short()).await;
    let call = tokio::spawn(crate::toy::get(toy.channel.clone(), "wait"));
    toy.gate.holds(1).await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(Details::of(&status).reason.as_deref(), Some("DEADLINE_EXCEEDED"), "{status:?}");
    toy.gate.holds(0).await;
}

#[tokio::test]
async fn a_client_may_not_ask_for_more_than_the_default() {
    let toy = Toy::start(short()).await;
    let mut request = Request::new(stock_of("deadline"));
    request.set_timeout(Duration::from_secs(60));
    let left = StockServiceClient::new(toy.channel.clone()).get_stock(request).await.unwrap().into_inner().on_hand;
    assert!((1..=3000).contains(&left), "{left}");
}

#[tokio::test]
async fn the_remaining_time_is_passed_on() {
    let toy = Toy::start(settings()).await;
    let mut request = Request::new(stock_of("forward"));
    request.set_timeout(Duration::from_secs(60));
    let stock = StockServiceClient::new(toy.channel.clone()).get_stock(request).await.unwrap().into_inner();
    let (outer, inner) = (stock.on_hand, stock.reserved);
    assert!((1..=60_000).contains(&outer), "{outer}");
    assert!((1..=60_000).contains(&inner), "{inner}");
}

#[tokio::test]
async fn a_stream_outlives_the_default_deadline() {
    let toy = Toy::start(short()).await;
    let mut client = OrderServiceClient::new(toy.channel.clone());
    let mut stream = client.watch_order(watch_request()).await.unwrap().into_inner();
    // A unary call begun after the stream ends at its deadline; the stream doesn't.
    assert_eq!(toy.get("wait").await.unwrap_err().code(), Code::DeadlineExceeded);
    toy.gate.open.add_permits(1);
    assert!(stream.message().await.unwrap().is_some());
}
