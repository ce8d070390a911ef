//! Reflection tells of the added services, in both versions, and can be switched off.

use flotilla_rpc::{Channel, ServerSettings};
use futures::stream;
use tonic::Code;
use tonic_reflection::pb::v1;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1alpha;

use crate::toy::{Toy, settings};

async fn services(channel: Channel) -> Result<Vec<String>, Code> {
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answer = ServerReflectionClient::new(channel)
        .server_reflection_info(stream::iter([request]))
        .await
        .map_err(|status| status.code())?;
    let message = answer.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = message else { panic!("{message:?}") };
    Ok(list.service.into_iter().map(|service| service.name).collect())
}

#[tokio::test]
async fn it_lists_the_added_services_and_health() {
    let toy = Toy::start(settings()).await;
    let mut listed = services(toy.channel.clone()).await.unwrap();
    listed.sort();
    assert_eq!(
        listed,
        ["flotilla.inventory.v1.StockService", "flotilla.orders.v1.OrderService", "grpc.health.v1.Health"]
    );
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(toy.channel.clone());
    old.server_reflection_info(stream::empty()).await.unwrap();
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let toy = Toy::start(ServerSettings { reflection: false, ..settings() }).await;
    assert_eq!(services(toy.channel.clone()).await, Err(Code::Unimplemented));
}
