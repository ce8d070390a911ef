//! Panics, overload, sizes, request ids and what the metrics say.

use flotilla_auth::Role;
use flotilla_proto::inventory::v1::GetStockRequest;
use flotilla_proto::inventory::v1::stock_service_client::StockServiceClient;
use flotilla_proto::orders::v1::order_service_client::OrderServiceClient;
use flotilla_rpc::{Details, ServerSettings};
use tonic::{Code, Request};

use crate::toy::{Toy, adjustment, get, settings, stock_of, watch_request};

#[tokio::test]
async fn a_panic_affects_one_call() {
    let toy = Toy::start(settings()).await;
    let status = toy.get("panic").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(Details::of(&status).reason.as_deref(), Some("INTERNAL"));
    assert!(!status.message().contains("bug"), "nothing of the cause is told");
    assert_eq!(toy.get("tea").await.unwrap().name, "tea");
    assert!(toy.metrics().contains("flotilla_rpc_panics_total 1"));
}

#[tokio::test]
async fn overload_is_refused_early_with_a_retry_delay() {
    let toy = Toy::start(ServerSettings { max_calls: 1, ..settings() }).await;
    let waiting = tokio::spawn(get(toy.channel.clone(), "wait"));
    toy.gate.holds(1).await;
    let status = toy.get("tea").await.unwrap_err();
    let details = Details::of(&status);
    assert_eq!((status.code(), details.reason.as_deref()), (Code::ResourceExhausted, Some("OVERLOADED")));
    assert!(details.retry_after.is_some());
    let mut health = tonic_health::pb::health_client::HealthClient::new(toy.channel.clone());
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.expect("health is never shed");
    toy.gate.open.add_permits(1);
    waiting.await.unwrap().unwrap();
    toy.get("tea").await.unwrap();
    assert!(toy.metrics().contains("flotilla_rpc_shed_total 1"));
}

#[tokio::test]
async fn a_stream_keeps_its_slot_until_it_ends() {
    let toy = Toy::start(ServerSettings { max_streams: 1, ..settings() }).await;
    let mut client = OrderServiceClient::new(toy.channel.clone());
    let first = client.watch_order(watch_request()).await.unwrap();
    let refused = client.watch_order(watch_request()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    toy.gate.holds(1).await;
    drop(first);
    toy.gate.holds(0).await;
    client.watch_order(watch_request()).await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let toy = Toy::start(ServerSettings { max_message_bytes: 200, ..settings() }).await;
    let channel = toy.channel.with_token(&toy.token(Role::Operator)).unwrap();
    let mut client = StockServiceClient::new(channel);
    let request = |length| adjustment(&"x".repeat(length));
    client.adjust_stock(request(100)).await.unwrap();
    let status = client.adjust_stock(request(200)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(Details::of(&status).reason.as_deref(), Some("MESSAGE_TOO_LARGE"));
}

#[tokio::test]
async fn a_request_id_is_kept_or_generated_and_returned() {
    let toy = Toy::start(settings()).await;
    let mut client = StockServiceClient::new(toy.channel.clone());
    let mut request = Request::new(stock_of("tea"));
    request.metadata_mut().insert("x-request-id", "abc-1".parse().unwrap());
    let response = client.get_stock(request).await.unwrap();
    assert_eq!(response.metadata().get("x-request-id").unwrap(), "abc-1");
    let response = client.get_stock(stock_of("tea")).await.unwrap();
    assert_eq!(response.metadata().get("x-request-id").unwrap().len(), 24);
    let status = toy.get("panic").await.unwrap_err();
    assert!(status.metadata().contains_key("x-request-id"));
}

#[tokio::test]
async fn metrics_count_codes_from_headers_and_trailers() {
    let toy = Toy::start(settings()).await;
    toy.get("tea").await.unwrap();
    toy.get("panic").await.unwrap_err();
    toy.gate.open.add_permits(3);
    let mut client = OrderServiceClient::new(toy.channel.clone());
    let mut stream = client.watch_order(watch_request()).await.unwrap().into_inner();
    for _ in 0..3 {
        stream.message().await.unwrap().unwrap();
    }
    assert_eq!(stream.message().await.unwrap_err().code(), Code::DataLoss);
    let metrics = toy.metrics();
    for (code, service, method) in [
        ("OK", "flotilla.inventory.v1.StockService", "GetStock"),
        ("INTERNAL", "flotilla.inventory.v1.StockService", "GetStock"),
        ("DATA_LOSS", "flotilla.orders.v1.OrderService", "WatchOrder"),
    ] {
        let line =
            format!("flotilla_rpc_requests_total{{code=\"{code}\",method=\"{method}\",service=\"{service}\"}} 1");
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    }
    let idle = "flotilla_rpc_in_flight{method=\"WatchOrder\",service=\"flotilla.orders.v1.OrderService\"} 0";
    assert!(metrics.contains(idle), "{metrics}");
}

#[tokio::test]
async fn invalid_requests_never_reach_a_handler_and_are_counted() {
    let toy = Toy::start(settings()).await;
    let mut client = StockServiceClient::new(toy.channel.clone());
    let status = client.get_stock(GetStockRequest { name: "tea".to_owned() }).await.unwrap_err();
    let details = Details::of(&status);
    assert_eq!((status.code(), details.reason.as_deref()), (Code::InvalidArgument, Some("INVALID_ARGUMENT")));
    assert_eq!(details.violations[0].field, "name");
    assert!(status.metadata().contains_key("x-request-id"));
    let metrics = toy.metrics();
    let line = "flotilla_rpc_requests_total{code=\"INVALID_ARGUMENT\",method=\"GetStock\",\
                service=\"flotilla.inventory.v1.StockService\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}
