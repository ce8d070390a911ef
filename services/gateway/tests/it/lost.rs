//! Services that go away in the middle, as one that is killed does.

use std::time::Duration;

use flotilla_proto::google::r#type::Money;
use flotilla_proto::inventory::v1::catalog_service_client::CatalogServiceClient;
use flotilla_proto::inventory::v1::{CreateProductRequest, Product};
use flotilla_proto::orders::v1::WatchOrderRequest;
use flotilla_proto::orders::v1::order_service_client::OrderServiceClient;
use flotilla_rpc::Details;
use flotilla_testkit::eventually;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::{Code, Status};

use crate::fixture::Fixture;
use crate::http::events;

const SOON: Duration = Duration::from_secs(10);

/// A line to a service that can be cut: connections over it break, new ones are taken.
struct Line {
    url: String,
    cuts: watch::Sender<usize>,
}

impl Line {
    fn to(service: &str) -> Self {
        let target = service.trim_start_matches("http://").to_owned();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let listener = TcpListener::from_std(listener).unwrap();
        let (cuts, cut) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cut = cut.clone();
                cut.mark_unchanged();
                let mut far = TcpStream::connect(&target).await.unwrap();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = cut.changed() => {}
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                    }
                });
            }
        });
        Self { url, cuts }
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn fixture() -> (Fixture, Line) {
    let mut line = None;
    let fixture = Fixture::with(|settings| {
        let made = Line::to(&settings.backends.orders);
        settings.backends.orders.clone_from(&made.url);
        settings.backends.inventory.clone_from(&made.url);
        line = Some(made);
    })
    .await;
    (fixture, line.unwrap())
}

fn assert_lost(status: &Status) {
    let reason = Details::of(status).reason;
    assert_eq!((status.code(), reason.as_deref()), (Code::Unavailable, Some("BACKEND_UNAVAILABLE")), "{status:?}");
}

#[tokio::test]
async fn calls_in_flight_that_may_not_be_retried_end_as_unavailable_and_later_ones_work() {
    let (fixture, line) = fixture().await;
    let product = || json!({"displayName": "Slow", "price": {"currencyCode": "USD", "units": "1"}});
    let rest = tokio::spawn(fixture.as_operator("POST /v1/products?productId=slow").json(&product()).send());
    let path = "/flotilla.inventory.v1.CatalogService/CreateProduct";
    let connect = fixture.as_operator(&format!("POST {path}"));
    let connect = tokio::spawn(connect.json(&json!({"productId": "slow", "product": product()})).send());
    let price = Some(Money { currency_code: "USD".into(), units: 1, nanos: 0 });
    let product = Some(Product { display_name: "Slow".into(), price, ..Product::default() });
    let slow = CreateProductRequest { product, product_id: "slow".into() };
    let mut catalog = CatalogServiceClient::new(fixture.gateway.channel_as(&fixture.operator_token()));
    let grpc = tokio::spawn(async move { catalog.create_product(slow).await });
    eventually("all calls under way", SOON, || async { fixture.test_services.calls("CreateProduct") == 3 }).await;
    line.cut();
    assert_lost(&grpc.await.unwrap().unwrap_err());
    let reply = rest.await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.problem()["reason"].as_str()), (503, Some("BACKEND_UNAVAILABLE")));
    let reply = connect.await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str()), (503, Some("unavailable")), "{reply:?}");
    assert_eq!(fixture.test_services.calls("CreateProduct"), 3, "it may have been done");
    eventually("a call that works", SOON, || async {
        fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-000000000001").send().await.status == 200
    })
    .await;
}

#[tokio::test]
async fn streams_end_with_an_error_that_says_so() {
    let (fixture, line) = fixture().await;
    let request =
        WatchOrderRequest { name: "orders/00000000-0000-7000-8000-00000000beef".into(), resume_token: String::new() };
    let mut grpc = OrderServiceClient::new(fixture.channel()).watch_order(request).await.unwrap().into_inner();
    for _ in 0..3 {
        grpc.message().await.unwrap().unwrap();
    }
    let sse = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000beef:watch").open().await;
    eventually("both streams", SOON, || async { fixture.test_services.calls("WatchOrder") == 2 }).await;
    line.cut();
    assert_lost(&grpc.message().await.unwrap_err());
    let text = events(sse, |_| false).await;
    assert!(text.contains("event: error") && text.contains("BACKEND_UNAVAILABLE"), "{text}");
}
