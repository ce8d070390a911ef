//! gRPC on the public port.

use std::time::Duration;

use bytes::Bytes;
use flotilla_proto::inventory::v1::catalog_service_client::CatalogServiceClient;
use flotilla_proto::inventory::v1::{DeleteProductRequest, GetProductRequest, ReserveStock};
use flotilla_proto::orders::v1::order_service_client::OrderServiceClient;
use flotilla_proto::orders::v1::{
    GetOrderRequest, ListOrdersRequest, PlaceOrderLine, PlaceOrderRequest, WatchOrderRequest,
};
use flotilla_proto::payments::v1::GetAccountRequest;
use flotilla_proto::payments::v1::payment_service_client::PaymentServiceClient;
use flotilla_rpc::{Channel, Details};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tonic::client::Grpc;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::fixture::Fixture;

fn orders(fixture: &Fixture) -> OrderServiceClient<Channel> {
    OrderServiceClient::new(fixture.channel())
}

fn order(key: &str) -> PlaceOrderRequest {
    let line = PlaceOrderLine { product: "products/tea".into(), quantity: 2 };
    PlaceOrderRequest { lines: vec![line], request_id: key.into(), expected_total: None }
}

fn watch(name: &str, token: &str) -> WatchOrderRequest {
    WatchOrderRequest { name: name.into(), resume_token: token.into() }
}

#[tokio::test]
async fn a_call_is_forwarded_with_its_metadata() {
    let fixture = Fixture::start().await;
    let mut request = tonic::Request::new(order("k1"));
    request.metadata_mut().insert("x-request-id", "mine-2".parse().unwrap());
    request.metadata_mut().insert("x-own", "kept".parse().unwrap());
    let answer = orders(&fixture).place_order(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "mine-2");
    assert_eq!(answer.into_inner().lines[0].quantity, 2);
    let test_services = &fixture.test_services;
    assert_eq!(test_services.metadata("x-request-id").as_deref(), Some("mine-2"));
    assert_eq!(test_services.metadata("x-own").as_deref(), Some("kept"));
    assert_eq!(test_services.metadata("authorization"), Some(format!("Bearer {}", fixture.customer_token())));
}

#[tokio::test]
async fn details_of_an_error_arrive_unchanged() {
    let fixture = Fixture::start().await;
    let status = orders(&fixture).place_order(order("changed")).await.unwrap_err();
    let details = Details::of(&status);
    assert_eq!((status.code(), details.reason.as_deref()), (Code::Aborted, Some("TOTAL_CHANGED")));
    assert_eq!(details.violations[0].field, "expected_total");
    assert_eq!(details.metadata["total"], "5 USD");
    let busy = orders(&fixture).place_order(order("busy")).await.unwrap_err();
    assert_eq!(Details::of(&busy).retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn a_stream_is_forwarded_to_its_end() {
    let fixture = Fixture::start().await;
    let stream = orders(&fixture)
        .watch_order(watch("orders/00000000-0000-7000-8000-00000000dead", "1"))
        .await
        .unwrap()
        .into_inner();
    let tokens: Vec<_> = stream.map_ok(|state| state.resume_token).try_collect().await.unwrap();
    assert_eq!(tokens, ["2", "3"]);
    let mut broken = orders(&fixture)
        .watch_order(watch("orders/00000000-0000-7000-8000-00000000badd", ""))
        .await
        .unwrap()
        .into_inner();
    let mut seen = 0;
    let status = loop {
        match broken.message().await {
            Ok(Some(_)) => seen += 1,
            Ok(None) => panic!("ended without its error"),
            Err(status) => break status,
        }
    };
    assert_eq!((seen, Details::of(&status).reason.as_deref()), (3, Some("DATABASE_UNAVAILABLE")));
}

#[tokio::test]
async fn only_annotated_methods_are_available() {
    let fixture = Fixture::start().await;
    for path in ["/flotilla.orders.v1.OrderService/Nope", "/flotilla.secret.v1.Service/Call"] {
        let mut client = Grpc::new(fixture.channel());
        client.ready().await.unwrap();
        let codec = flotilla_proto::codec::StrictCodec::<GetOrderRequest, flotilla_proto::orders::v1::Order>::default();
        let request = tonic::Request::new(GetOrderRequest::default());
        let status = client.unary(request, path.parse().unwrap(), codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert_eq!(Details::of(&status).reason.as_deref(), Some("METHOD_UNKNOWN"));
    }
}

#[tokio::test]
async fn callers_without_permission_are_refused_by_the_gateway() {
    let fixture = Fixture::start().await;
    let with = |token: &str| OrderServiceClient::new(fixture.gateway.channel_as(token));
    let request = || GetOrderRequest { name: "orders/00000000-0000-7000-8000-000000000001".into() };
    let mut anonymous = OrderServiceClient::new(fixture.gateway.channel());
    for (answer, reason) in [
        (anonymous.get_order(request()).await, "TOKEN_MISSING"),
        (with(&fixture.expired_token()).get_order(request()).await, "TOKEN_EXPIRED"),
        (with("rubbish").get_order(request()).await, "TOKEN_INVALID"),
    ] {
        let status = answer.unwrap_err();
        assert_eq!((status.code(), Details::of(&status).reason.as_deref()), (Code::Unauthenticated, Some(reason)));
    }
    let delete = DeleteProductRequest { name: "products/tea".into(), etag: String::new() };
    let status = CatalogServiceClient::new(fixture.channel()).delete_product(delete).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let product = GetProductRequest { name: "products/tea".into() };
    CatalogServiceClient::new(fixture.gateway.channel()).get_product(product).await.unwrap();
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused() {
    let fixture = Fixture::start().await;
    let huge = PlaceOrderRequest { request_id: "x".repeat(1024 * 1024), ..PlaceOrderRequest::default() };
    let status = orders(&fixture).place_order(huge).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(Details::of(&status).reason.as_deref(), Some("MESSAGE_TOO_LARGE"));
    assert_eq!(fixture.test_services.calls("PlaceOrder"), 0);
    orders(&fixture).place_order(order("after")).await.unwrap();
}

#[tokio::test]
async fn undecodable_protobuf_is_an_invalid_argument() {
    let fixture = Fixture::start().await;
    let reply = fixture
        .as_customer("POST /flotilla.orders.v1.OrderService/PlaceOrder")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .bytes(Bytes::from_static(&[0, 0, 0, 0, 1, 0xff]))
        .http2()
        .send()
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["grpc-status"], "3", "{reply:?}");
}

#[tokio::test]
async fn grpc_over_http1_is_refused() {
    let fixture = Fixture::start().await;
    let path = "POST /flotilla.orders.v1.OrderService/PlaceOrder";
    let http1 = fixture.as_customer(path).header("content-type", "application/grpc").send().await;
    assert_eq!((http1.status.as_u16(), http1.problem()["reason"].as_str()), (400, Some("HTTP2_REQUIRED")));
}

#[tokio::test]
async fn deadlines_and_unavailable_services_have_their_codes() {
    let fixture = Fixture::start().await;
    let mut slow = tonic::Request::new(order("slow"));
    slow.set_timeout(Duration::from_millis(200));
    let status = orders(&fixture).place_order(slow).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    let account = GetAccountRequest { name: "accounts/00000000-0000-7000-8000-00000000000a".into() };
    let status = PaymentServiceClient::new(fixture.channel()).get_account(account).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(Details::of(&status).reason.as_deref(), Some("BACKEND_UNAVAILABLE"));
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let fixture = Fixture::start().await;
    let client = orders(&fixture);
    // The token is known from here on: checking a signature is slow without optimisation.
    client.clone().place_order(order("first")).await.unwrap();
    let answers = stream::iter(0..300)
        .map(|number| {
            let mut client = client.clone();
            async move { client.place_order(order(&format!("k{number}"))).await }
        })
        .buffer_unordered(64)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    assert_eq!(answers.len(), 300);
    let metrics = fixture.gateway.metrics();
    let series = r#"flotilla_gateway_requests_total{method="POST",protocol="grpc",route="flotilla.orders.v1.OrderService/PlaceOrder",status="OK"} 301"#;
    assert!(metrics.contains(series), "{metrics}");
    assert!(metrics.contains("flotilla_gateway_in_flight 0"));
}

#[tokio::test]
async fn health_and_reflection_of_the_public_api_need_no_token() {
    let fixture = Fixture::start().await;
    let mut health = HealthClient::new(fixture.gateway.channel());
    assert_eq!(health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status, 1);
    let listed = reflect(&fixture, MessageRequest::ListServices(String::new())).await.unwrap();
    let MessageResponse::ListServicesResponse(list) = listed else { panic!("{listed:?}") };
    let names = list.service;
    let names: Vec<_> = names.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"flotilla.orders.v1.OrderService".to_owned()), "{names:?}");
    let known = |symbol: &str| MessageRequest::FileContainingSymbol(symbol.to_owned());
    let order = reflect(&fixture, known("flotilla.orders.v1.Order")).await.unwrap();
    assert!(matches!(order, MessageResponse::FileDescriptorResponse(_)));
    let event = reflect(&fixture, known(<ReserveStock as prost::Name>::full_name().as_str())).await.unwrap_err();
    assert_eq!(event.code(), Code::NotFound, "events are nobody's business");
}

async fn reflect(fixture: &Fixture, request: MessageRequest) -> Result<MessageResponse, Status> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let answers = ServerReflectionClient::new(fixture.gateway.channel())
        .server_reflection_info(stream::iter([request]))
        .await?
        .into_inner();
    let answers: Vec<ServerReflectionResponse> = answers.try_collect().await?;
    Ok(answers.into_iter().next().unwrap().message_response.unwrap())
}

#[tokio::test]
async fn a_page_can_be_listed_without_fields() {
    let fixture = Fixture::start().await;
    assert!(orders(&fixture).list_orders(ListOrdersRequest::default()).await.unwrap().into_inner().orders.is_empty());
}

#[tokio::test]
async fn a_service_gets_the_clients_real_address_whatever_the_protocol() {
    const NAME: &str = "flotilla-client-address";
    const GET_ORDER: &str = "/flotilla.orders.v1.OrderService/GetOrder";
    let fixture = Fixture::start().await;
    let id = "00000000-0000-7000-8000-000000000001";
    let wanted = GetOrderRequest { name: format!("orders/{id}") };
    let told = |protocol: &str| {
        assert_eq!(fixture.test_services.metadata("x-request-id").as_deref(), Some(protocol), "the call has arrived");
        assert_eq!(fixture.test_services.metadata(NAME).as_deref(), Some("127.0.0.1"), "{protocol}");
    };
    let claim = |line: &str, protocol: &str| {
        fixture.as_customer(line).header(NAME, "192.0.2.1").header("x-request-id", protocol)
    };

    let mut request = tonic::Request::new(wanted.clone());
    request.metadata_mut().insert("x-request-id", "grpc".parse().unwrap());
    for claimed in ["192.0.2.1", "192.0.2.2"] {
        request.metadata_mut().append(NAME, claimed.parse().unwrap());
    }
    orders(&fixture).get_order(request).await.unwrap();
    told("grpc");

    claim(&format!("GET /v1/orders/{id}"), "rest").send().await;
    told("rest");
    let line = format!("POST {GET_ORDER}");
    claim(&line, "connect").json(&serde_json::json!({ "name": wanted.name })).send().await;
    told("connect");
    let framed = crate::frames::framed(0, &prost::Message::encode_to_vec(&wanted));
    claim(&line, "grpc-web").header("content-type", "application/grpc-web+proto").bytes(framed).send().await;
    told("grpc-web");
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_the_one_that_the_proxy_saw() {
    let fixture = Fixture::with(|settings| settings.edge.trusted_proxies = vec!["127.0.0.0/8".to_owned()]).await;
    let call = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-000000000001");
    call.header("x-forwarded-for", "192.0.2.1, 198.51.100.7").send().await;
    assert_eq!(fixture.test_services.metadata("flotilla-client-address").as_deref(), Some("198.51.100.7"));
}
