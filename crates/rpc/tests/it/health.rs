//! The health service follows readiness.

use std::time::Duration;

use flotilla_rpc::Channel;
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::toy::{Toy, settings};

async fn check(channel: &Channel, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel.clone()).check(request).await.map_err(|status| status.code())?;
    Ok(answer.into_inner().status())
}

#[tokio::test]
async fn health_follows_readiness_overall_and_for_each_service() {
    let toy = Toy::start(settings()).await;
    let services = ["", "flotilla.inventory.v1.StockService", "flotilla.orders.v1.OrderService"];
    for (serving, expected) in [
        (None, ServingStatus::NotServing),
        (Some(true), ServingStatus::Serving),
        (Some(false), ServingStatus::NotServing),
    ] {
        if let Some(serving) = serving {
            toy.health.set_serving(serving);
        }
        for service in services {
            assert_eq!(check(&toy.channel, service).await, Ok(expected), "{service:?}");
        }
    }
    assert_eq!(check(&toy.channel, "flotilla.unknown").await, Err(Code::NotFound));
}

/// A watch of `service`, with what it says first.
async fn watch(channel: &Channel, service: &str, first: ServingStatus) -> Streaming<HealthCheckResponse> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut watch = HealthClient::new(channel.clone()).watch(request).await.unwrap().into_inner();
    assert_eq!(said(&mut watch).await, Some(first), "{service:?}");
    watch
}

async fn said(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let message = tokio::time::timeout(Duration::from_secs(120), watch.message()).await.expect("in time");
    message.unwrap().map(|answer| answer.status())
}

#[tokio::test]
async fn a_watch_of_each_service_sees_each_change_and_a_last_status_at_the_shutdown() {
    let toy = Toy::start(settings()).await;
    let mut watches = Vec::new();
    for service in ["", "flotilla.inventory.v1.StockService", "flotilla.orders.v1.OrderService"] {
        watches.push(watch(&toy.channel, service, ServingStatus::NotServing).await);
    }
    for (serving, expected) in
        [(true, ServingStatus::Serving), (false, ServingStatus::NotServing), (true, ServingStatus::Serving)]
    {
        toy.health.set_serving(serving);
        for watch in &mut watches {
            assert_eq!(said(watch).await, Some(expected));
        }
    }
    let mut stranger = watch(&toy.channel, "flotilla.unknown", ServingStatus::ServiceUnknown).await;
    toy.shutdown.cancel();
    for watch in &mut watches {
        assert_eq!(said(watch).await, Some(ServingStatus::NotServing), "the last word");
        while said(watch).await.is_some() {}
    }
    while let Some(status) = said(&mut stranger).await {
        assert_eq!(status, ServingStatus::ServiceUnknown);
    }
    toy.serving.await.unwrap().unwrap();
}
