//! How many calls and streams one user may have in flight.

use std::time::{Duration, SystemTime};

use flotilla_auth::{Caller, Role};
use flotilla_proto::inventory::v1::GetStockRequest;
use flotilla_proto::inventory::v1::stock_service_client::StockServiceClient;
use flotilla_proto::orders::v1::order_service_client::OrderServiceClient;
use flotilla_rpc::{Channel, Details, ServerSettings};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::toy::{Toy, get, settings, stock_of, watch_request};

fn user(toy: &Toy, number: u128) -> Channel {
    let user = Uuid::from_u128(number);
    let expires = SystemTime::now() + Duration::from_secs(60);
    let caller = Caller { user, session: user, role: Role::Customer, expires };
    toy.channel.with_token(&toy.signer.sign(&caller, SystemTime::now())).unwrap()
}

fn assert_too_many(status: &Status, what: &str) {
    let details = Details::of(status);
    assert_eq!((status.code(), details.reason.as_deref()), (Code::ResourceExhausted, Some("TOO_MANY_CALLS")));
    assert_eq!((details.quotas[0].subject.as_str(), details.quotas[0].description.as_str()), ("user", what));
    assert!(details.retry_after.is_some());
}

#[tokio::test]
async fn the_streams_of_a_user_are_limited_and_others_have_their_own() {
    let toy = Toy::start(ServerSettings { max_streams_per_user: 3, ..settings() }).await;
    let watch = async |channel: &Channel| OrderServiceClient::new(channel.clone()).watch_order(watch_request()).await;
    let (first, second) = (user(&toy, 1), user(&toy, 2));
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(watch(&first).await.unwrap());
    }
    assert_too_many(&watch(&first).await.unwrap_err(), "open streams");
    watch(&second).await.expect("another user has streams of their own");
    get(first.clone(), "tea").await.expect("streams are not calls");
    assert!(toy.metrics().contains("flotilla_rpc_rate_limited_total 1"));
    // A stream that ends returns its slot.
    drop(streams.pop());
    let again = async {
        while watch(&first).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("a place");
}

#[tokio::test]
async fn the_calls_in_flight_of_a_user_are_limited_and_others_have_their_own() {
    let toy = Toy::start(ServerSettings { max_calls_per_user: 3, ..settings() }).await;
    let (first, second) = (user(&toy, 1), user(&toy, 2));
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let mut client = StockServiceClient::new(first.clone());
            let request: GetStockRequest = stock_of("wait");
            tokio::spawn(async move { client.get_stock(request).await })
        })
        .collect();
    toy.gate.holds(3).await;
    assert_too_many(&get(first.clone(), "tea").await.unwrap_err(), "calls in flight");
    get(second, "tea").await.expect("another user has calls of their own");
    get(toy.channel.clone(), "tea").await.expect("who has no user is no user");
    toy.gate.open.add_permits(3);
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    get(first, "tea").await.expect("calls that have ended count no more");
}
