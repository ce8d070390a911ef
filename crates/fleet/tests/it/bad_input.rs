//! Bad input, through REST and gRPC: a clear error in the protocol's own form, never a 5xx, nothing written.

use flotilla_proto::orders::v1::{
    ListOrdersRequest, ListOrdersResponse, Order, PlaceOrderLine, PlaceOrderRequest,
    order_service_client::OrderServiceClient,
};
use tonic::{Code, Request, Status};

use crate::{
    fleet::{Fleet, fleet},
    http,
};

/// Everything that an order could have left behind.
async fn written(fleet: &Fleet) -> i64 {
    fleet.number("orders", "SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM outbox)").await
}

#[tokio::test]
async fn bad_input_over_rest_is_a_problem_that_names_what_is_wrong() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(100, 50).await);
    let token = customer.authorization();
    let token = token.to_str().unwrap();
    let address = &fleet.state.member("gateway").unwrap().address;
    let foreign = fleet.foreign_product().await;
    fleet.assert_sound().await;
    let before = written(&fleet).await;
    let line = format!("{{\"product\":\"products/{product}\",\"quantity\":1}}");
    let mixed = format!("{{\"lines\":[{line},{{\"product\":\"products/{foreign}\",\"quantity\":1}}]}}");
    let many = format!("{{\"lines\":[{}]}}", vec![line.as_str(); 10_000].join(","));
    let of = |quantity: &str| format!("{{\"lines\":[{{\"product\":\"products/{product}\",\"quantity\":{quantity}}}]}}");
    let bodies = [
        ("an unknown field", format!("{{\"lines\":[{line}],\"colour\":\"red\"}}"), "colour"),
        ("a wrong type", "{\"lines\":7}".to_owned(), "lines"),
        ("malformed JSON", "{\"lines\":[".to_owned(), ""),
        ("a negative quantity", of("-1"), "quantity"),
        ("a zero quantity", of("0"), "quantity"),
        ("an overflowed total", of("\"9223372036854775807\""), ""),
        ("an unknown product", "{\"lines\":[{\"product\":\"products/nothing\",\"quantity\":1}]}".to_owned(), "product"),
        ("no lines", "{\"lines\":[]}".to_owned(), "lines"),
        ("ten thousand lines", many, "lines"),
        ("mixed currencies", mixed, "currenc"),
        (
            "a total in two currencies",
            format!("{{\"lines\":[{line}],\"expectedTotal\":{{\"currencyCode\":\"XXX\",\"units\":\"1\"}}}}"),
            "expected",
        ),
    ];
    for (what, body, named) in &bodies {
        let headers = [("idempotency-key", *what)];
        let answer = http::send(address, "POST", "/v1/orders", Some(token), &headers, body.as_bytes()).await;
        assert_problem(what, &answer, &[400], named);
    }
    let whole = format!("{{\"lines\":[{line}]}}");
    let whole = whole.as_bytes();
    let post = |headers, token, body| http::send(address, "POST", "/v1/orders", token, headers, body);
    assert_problem("no key", &post(&[], Some(token), whole).await, &[400], "request");
    assert_problem("no token", &post(&[("idempotency-key", "k")], None, whole).await, &[401], "");
    assert_problem("a bad token", &post(&[("idempotency-key", "k")], Some("Bearer abc"), whole).await, &[401], "");
    assert_problem(
        "invalid UTF-8",
        &post(&[("idempotency-key", "k")], Some(token), b"{\"lines\":\"\xff\"}").await,
        &[400],
        "",
    );
    let huge = vec![b' '; 1_100_000];
    assert_problem("a huge body", &post(&[("idempotency-key", "k")], Some(token), &huge).await, &[413], "");
    let xml = [("idempotency-key", "k"), ("content-type", "text/xml")];
    assert_problem("another content type", &post(&xml, Some(token), whole).await, &[415], "");
    let get = |path: &'static str| http::get(address, path, Some(token));
    assert_problem("a bad page token", &get("/v1/orders?pageToken=abc").await, &[400], "page");
    assert_problem("a bad page size", &get("/v1/orders?pageSize=-1").await, &[400], "page");
    assert_problem("an unknown parameter", &get("/v1/orders?colour=red").await, &[400], "colour");
    assert_problem("a bad name", &get("/v1/orders/nothing").await, &[400, 404], "");
    assert_problem("an unknown path", &get("/v1/nothing").await, &[404], "");
    assert_eq!(written(&fleet).await, before, "something was written");
}

fn assert_problem(what: &str, answer: &http::Answer, statuses: &[u16], named: &str) {
    assert!(statuses.contains(&answer.status), "{what}: {answer:?}");
    assert!(answer.head.contains("application/problem+json"), "{what}: {answer:?}");
    let problem = answer.json();
    for key in ["title", "status", "detail"] {
        assert!(!problem[key].is_null(), "{what}: no {key} in {problem}");
    }
    assert!(answer.body.to_lowercase().contains(named), "{what}: {named} isn't named in {problem}");
}

#[tokio::test]
async fn bad_input_over_grpc_is_a_status_with_details() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(100, 50).await);
    let foreign = fleet.foreign_product().await;
    fleet.assert_sound().await;
    let before = written(&fleet).await;
    let line = |product: &str, quantity| PlaceOrderLine { product: format!("products/{product}"), quantity };
    let orders = [
        ("a negative quantity", vec![line(&product, -1)], "key"),
        ("a zero quantity", vec![line(&product, 0)], "key"),
        ("an overflowed total", vec![line(&product, i64::MAX)], "key"),
        ("an unknown product", vec![line("nothing", 1)], "key"),
        ("ten thousand lines", vec![line(&product, 1); 10_000], "key"),
        ("mixed currencies", vec![line(&product, 1), line(&foreign, 1)], "key"),
        ("no lines", vec![], "key"),
        ("no key", vec![line(&product, 1)], ""),
    ];
    for (what, lines, key) in orders {
        let message = PlaceOrderRequest { lines, expected_total: None, request_id: key.to_owned() };
        let status = place(&fleet, Some(&customer), message).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
        assert!(!status.details().is_empty(), "{what}: {status:?}");
    }
    let good = PlaceOrderRequest { lines: vec![line(&product, 1)], expected_total: None, request_id: "k".to_owned() };
    assert_eq!(place(&fleet, None, good.clone()).await.code(), Code::Unauthenticated);
    let huge = PlaceOrderRequest { request_id: "k".repeat(1_100_000), ..good };
    let status = place(&fleet, Some(&customer), huge).await;
    assert!(matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange | Code::InvalidArgument), "{status:?}");

    let mut request = Request::new(ListOrdersRequest { page_token: "abc".to_owned(), ..Default::default() });
    request.metadata_mut().insert("authorization", customer.authorization());
    let status = OrderServiceClient::new(fleet.api.channel()).list_orders(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(written(&fleet).await, before, "something was written");
}

async fn place(
    fleet: &Fleet,
    customer: Option<&flotilla_workload::client::Session>,
    message: PlaceOrderRequest,
) -> Status {
    let mut request = Request::new(message);
    if let Some(customer) = customer {
        request.metadata_mut().insert("authorization", customer.authorization());
    }
    OrderServiceClient::new(fleet.api.channel()).place_order(request).await.unwrap_err()
}

#[tokio::test]
async fn another_customers_order_is_not_found() {
    let fleet = fleet().await;
    let (owner, stranger) = (fleet.customer(10_000).await, fleet.customer(0).await);
    let product = fleet.product(100, 50).await;
    let order = owner.place_order(vec![(product, 1)], "mine").await.unwrap();
    assert_eq!(fleet.get(&stranger, &order.name).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(stranger.cancel_order(&order.name).await.unwrap_err().code(), Code::NotFound);
    let address = &fleet.state.member("gateway").unwrap().address;
    let token = stranger.authorization();
    let answer = http::get(address, &format!("/v1/{}", order.name), Some(token.to_str().unwrap())).await;
    assert_problem("another's order", &answer, &[404], "");
    fleet.assert_sound().await;
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_the_callers_mistake_and_unknown_fields_are_ignored_over_grpc() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(100, 50).await);
    let mut client = tonic::client::Grpc::new(fleet.api.channel());
    client.ready().await.unwrap();
    // Field 2 is bytes here and ListOrdersRequest's page_token there.
    let mut request = Request::new(prost_types::Any { type_url: String::new(), value: vec![0xff] });
    request.metadata_mut().insert("authorization", customer.authorization());
    let path = http::uri("/flotilla.orders.v1.OrderService/ListOrders");
    let codec = flotilla_proto::codec::StrictCodec::<prost_types::Any, ListOrdersResponse>::default();
    let status = client.unary(request, path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");

    let order = customer.place_order(vec![(product, 1)], "asked-for-strangely").await.unwrap();
    // Field 1 is a name in both; GetOrderRequest knows no field 2.
    let message = prost_types::FileDescriptorProto {
        name: Some(order.name.clone()),
        package: Some("unknown".to_owned()),
        ..Default::default()
    };
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", customer.authorization());
    let path = http::uri("/flotilla.orders.v1.OrderService/GetOrder");
    let codec = flotilla_proto::codec::StrictCodec::<prost_types::FileDescriptorProto, Order>::default();
    client.ready().await.unwrap();
    assert_eq!(client.unary(request, path, codec).await.unwrap().into_inner().name, order.name);
    fleet.assert_sound().await;
}

#[tokio::test]
async fn undecodable_protobuf_is_an_invalid_argument() {
    let fleet = fleet().await;
    let customer = fleet.customer(0).await;
    let mut client = tonic::client::Grpc::new(fleet.api.channel());
    client.ready().await.unwrap();
    // The same bytes read as another message: field 1 as a varint, where PlaceOrderRequest has messages.
    let mut request = Request::new(prost_types::Timestamp { seconds: 7, nanos: 0 });
    request.metadata_mut().insert("authorization", customer.authorization());
    let path = http::uri("/flotilla.orders.v1.OrderService/PlaceOrder");
    let codec =
        flotilla_proto::codec::StrictCodec::<prost_types::Timestamp, flotilla_proto::orders::v1::Order>::default();
    let status = client.unary(request, path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}
