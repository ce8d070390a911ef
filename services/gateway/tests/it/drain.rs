//! Shutting down without losing anything.

use std::time::Duration;

use flotilla_proto::orders::v1::WatchOrderRequest;
use flotilla_proto::orders::v1::order_service_client::OrderServiceClient;
use flotilla_rpc::Details;
use flotilla_testkit::eventually;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::timeout;

use crate::fixture::Fixture;
use crate::frames::{cut, framed};
use crate::http::events;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn streams_end_cleanly_and_can_be_resumed_elsewhere() {
    let fixture = Fixture::start().await;
    let watch = |content_type: &str, message: &[u8]| {
        let call = fixture.as_customer("POST /flotilla.orders.v1.OrderService/WatchOrder");
        call.header("content-type", content_type).bytes(framed(0, message)).open()
    };
    let connect = watch("application/connect+json", br#"{"name":"orders/00000000-0000-7000-8000-00000000beef"}"#).await;
    let web = watch("application/grpc-web+json", br#"{"name":"orders/00000000-0000-7000-8000-00000000beef"}"#).await;
    let sse = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000beef:watch").open().await;
    let request =
        WatchOrderRequest { name: "orders/00000000-0000-7000-8000-00000000beef".into(), resume_token: String::new() };
    let mut grpc = OrderServiceClient::new(fixture.channel()).watch_order(request).await.unwrap().into_inner();
    for _ in 0..3 {
        grpc.message().await.unwrap().unwrap();
    }
    let Fixture { gateway, test_services, .. } = fixture;
    let stopping = tokio::spawn(gateway.stop());
    assert!(ends(connect).await.contains(r#""code":"unavailable""#));
    assert!(ends(web).await.contains("grpc-status: 14"));
    let text = events(sse, |_| false).await;
    assert!(text.contains("id: 3\n") && !text.contains("event: end"), "a client is to come again: {text}");
    let status = grpc.message().await.unwrap_err();
    assert_eq!(Details::of(&status).reason.as_deref(), Some("SERVER_DRAINING"), "{status:?}");
    timeout(SOON, stopping).await.expect("a quick end").unwrap();
    drop(test_services);
}

/// The last words of a stream, as text.
async fn ends(response: http::Response<Incoming>) -> String {
    let body = timeout(SOON, response.into_body().collect()).await.expect("an end in time").unwrap();
    let (_, last) = cut(&body.to_bytes()).pop().unwrap();
    String::from_utf8(last.to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_in_flight_is_answered() {
    let fixture = Fixture::start().await;
    let slow = fixture
        .as_customer("POST /v1/orders")
        .json(&json!({"lines": [{"product": "products/tea", "quantity": 1}]}))
        .key("slow")
        .header("x-request-timeout", "1500ms");
    let answer = tokio::spawn(slow.send());
    eventually("the call under way", SOON, || async { fixture.test_services.calls("PlaceOrder") == 1 }).await;
    let address = fixture.address();
    let Fixture { gateway, test_services, .. } = fixture;
    gateway.stop().await;
    let reply = answer.await.unwrap();
    assert_eq!(reply.status, 504, "the answer came although the gateway was stopping");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    drop(test_services);
}
