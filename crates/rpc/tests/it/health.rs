//! The health service follows readiness.

use flotilla_rpc::Channel;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

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

#[tokio::test]
async fn a_watch_sees_each_change_and_ends_at_the_shutdown() {
    let toy = Toy::start(settings()).await;
    let mut client = HealthClient::new(toy.channel.clone());
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    toy.health.set_serving(true);
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    toy.shutdown.cancel();
    while watch.message().await.unwrap().is_some() {}
    toy.serving.await.unwrap().unwrap();
}
