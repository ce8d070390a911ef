//! How often one user, or one address, may call.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flotilla_auth::{Caller, Role};
use flotilla_proto::orders::v1::GetOrderRequest;
use flotilla_proto::orders::v1::order_service_client::OrderServiceClient;
use flotilla_rpc::{Channel, Details, RateLimitSettings, ServerSettings};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::toy::{Toy, settings};

fn limited(per_user: u32, per_address: u32) -> ServerSettings {
    ServerSettings {
        rate_limit: RateLimitSettings { per_user: per_user.into(), per_address: per_address.into(), keys: 1000 },
        ..settings()
    }
}

async fn order(channel: &Channel) -> Result<(), Status> {
    OrderServiceClient::new(channel.clone()).get_order(GetOrderRequest { name: crate::toy::order() }).await.map(drop)
}

fn assert_limited(status: &Status, subject: &str) {
    let details = Details::of(status);
    assert_eq!((status.code(), details.reason.as_deref()), (Code::ResourceExhausted, Some("RATE_LIMITED")));
    assert_eq!(details.quotas[0].subject, subject);
    assert!(details.retry_after.is_some_and(|wait| wait <= Duration::from_secs(1)), "{details:?}");
}

#[tokio::test]
async fn each_user_has_a_rate_of_their_own() {
    let toy = Toy::start(limited(1, 0)).await;
    let other = Caller {
        user: Uuid::from_u128(8),
        session: Uuid::from_u128(8),
        role: Role::Customer,
        expires: SystemTime::now() + Duration::from_secs(60),
    };
    let first = toy.channel.with_token(&toy.token(Role::Customer)).unwrap();
    let second = toy.channel.with_token(&toy.signer.sign(&other, SystemTime::now())).unwrap();
    // Twice the rate may come at once, however fast this machine is.
    let answers = futures::future::join_all((0..20).map(|_| order(&first))).await;
    let (passed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(passed.len() >= 2, "{}", passed.len());
    for answer in &refused {
        assert_limited(answer.as_ref().unwrap_err(), "user");
    }
    assert!(!refused.is_empty());
    order(&second).await.expect("another user is not to blame");
    let line = format!("flotilla_rpc_rate_limited_total {}", refused.len());
    assert!(toy.metrics().contains(&line), "{line}");
}

#[tokio::test]
async fn calls_without_a_valid_token_count_against_their_address() {
    let toy = Arc::new(Toy::start(limited(0, 1)).await);
    toy.get("tea").await.unwrap();
    let guess = toy.channel.with_token("guess").unwrap();
    let answers = futures::future::join_all((0..20).map(|_| order(&guess))).await;
    let told: Vec<_> = answers.into_iter().map(Result::unwrap_err).collect();
    assert!(told.iter().any(|status| status.code() == Code::Unauthenticated));
    let limited = told.iter().find(|status| status.code() == Code::ResourceExhausted).expect("guessing has an end");
    assert_limited(limited, "address");
    let user = toy.channel.with_token(&toy.token(Role::Customer)).unwrap();
    order(&user).await.expect("a user is told by the token, not by the address");
    let mut health = tonic_health::pb::health_client::HealthClient::new(toy.channel.clone());
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.expect("health is never limited");
}
