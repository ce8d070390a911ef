//! Who gets in: the matrix of rules and tokens.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flotilla_auth::{AuthSettings, Authenticator, Caller, Role, TokenSigner};
use flotilla_proto::inventory::v1::stock_service_client::StockServiceClient;
use flotilla_proto::orders::v1::order_service_client::OrderServiceClient;
use flotilla_proto::orders::v1::{GetOrderRequest, ListOrdersRequest, PlaceOrderRequest};
use flotilla_rpc::{Channel, ClientSettings, Details, RemoteKeys};
use tonic::{Code, Status};

use crate::toy::{Toy, USER, adjustment, get, order, settings};

fn told(status: &Status) -> (Code, String) {
    (status.code(), Details::of(status).reason.unwrap_or_default())
}

async fn authenticated(channel: &Channel) -> (Code, String) {
    match OrderServiceClient::new(channel.clone()).get_order(GetOrderRequest { name: order() }).await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => told(&status),
    }
}

async fn operators(channel: &Channel) -> (Code, String) {
    match StockServiceClient::new(channel.clone()).adjust_stock(adjustment("")).await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => told(&status),
    }
}

#[tokio::test]
async fn each_rule_allows_the_callers_that_it_names() {
    let toy = Toy::start(settings()).await;
    let customer = toy.channel.with_token(&toy.token(Role::Customer)).unwrap();
    let operator = toy.channel.with_token(&toy.token(Role::Operator)).unwrap();
    let ok = (Code::Ok, String::new());
    let missing = (Code::Unauthenticated, "TOKEN_MISSING".to_owned());

    assert_eq!(get(toy.channel.clone(), "caller").await.unwrap().name, "nobody");
    assert_eq!(get(customer.clone(), "caller").await.unwrap().name, USER.to_string());
    assert_eq!(authenticated(&toy.channel).await, missing);
    assert_eq!(authenticated(&customer).await, ok);
    assert_eq!(authenticated(&operator).await, ok);
    assert_eq!(operators(&toy.channel).await, missing);
    assert_eq!(operators(&customer).await, (Code::PermissionDenied, "OPERATOR_REQUIRED".to_owned()));
    assert_eq!(operators(&operator).await, ok);
    // The second time the token is remembered.
    assert_eq!(operators(&operator).await, ok);
    assert_eq!(operators(&customer).await, (Code::PermissionDenied, "OPERATOR_REQUIRED".to_owned()));
}

#[tokio::test]
async fn bad_tokens_never_reach_a_handler() {
    let toy = Toy::start(settings()).await;
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now();
    let expired = toy
        .signer
        .sign(&Caller { user: USER, session: USER, role: Role::Operator, expires: now - hour }, now - 2 * hour);
    let auth = AuthSettings::default();
    let forger = TokenSigner::from_seed(&[4; 32], "k", &auth.issuer, &auth.audience).unwrap();
    let forged = forger.sign(&Caller { user: USER, session: USER, role: Role::Operator, expires: now + hour }, now);
    for (token, reason) in [(expired.as_str(), "TOKEN_EXPIRED"), (&forged, "TOKEN_INVALID"), ("x", "TOKEN_INVALID")] {
        let channel = toy.channel.with_token(token).unwrap();
        let expected = (Code::Unauthenticated, reason.to_owned());
        assert_eq!(authenticated(&channel).await, expected);
        assert_eq!(operators(&channel).await, expected);
        assert_eq!(get(channel, "caller").await.unwrap().name, "nobody", "a public method takes no offence");
    }
}

#[tokio::test]
async fn a_method_without_a_rule_is_denied() {
    let toy = Toy::start(settings()).await;
    let channel = toy.channel.with_token(&toy.token(Role::Operator)).unwrap();
    let mut client = OrderServiceClient::new(channel);
    let denied = (Code::PermissionDenied, "METHOD_NOT_ALLOWED".to_owned());
    assert_eq!(told(&client.place_order(PlaceOrderRequest::default()).await.unwrap_err()), denied);
    assert_eq!(told(&client.list_orders(ListOrdersRequest::default()).await.unwrap_err()), denied);
}

#[tokio::test]
async fn a_server_without_an_authenticator_serves_only_public_methods() {
    let auth = AuthSettings::default();
    let signer = TokenSigner::from_seed(&[3; 32], "k", &auth.issuer, &auth.audience).unwrap();
    let toy = Toy::start_with(settings(), None, signer).await;
    let channel = toy.channel.with_token(&toy.token(Role::Operator)).unwrap();
    assert_eq!(authenticated(&channel).await, (Code::PermissionDenied, "METHOD_NOT_ALLOWED".to_owned()));
    get(channel, "tea").await.unwrap();
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_make_the_call_unavailable() {
    let auth = AuthSettings::default();
    let signer = TokenSigner::from_seed(&[3; 32], "k", &auth.issuer, &auth.audience).unwrap();
    let keys = RemoteKeys::connect("http://127.0.0.1:1", &ClientSettings::default()).unwrap();
    let toy = Toy::start_with(settings(), Some(Authenticator::new(&auth, Arc::new(keys))), signer).await;
    let channel = toy.channel.with_token(&toy.token(Role::Operator)).unwrap();
    assert_eq!(authenticated(&channel).await, (Code::Unavailable, "KEYS_UNAVAILABLE".to_owned()));
}
