//! Reflection tells of the added services, in both versions, and can be switched off.

use flotilla_rpc::{AccessRules, Channel, ClientSettings, Server, ServerSettings, channel};
use flotilla_telemetry::Registry;
use futures::stream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
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
    let mut old = old_services(toy.channel.clone()).await.unwrap();
    old.sort();
    assert_eq!(old, listed);
}

/// As [`services`], in the version that older tools speak.
async fn old_services(channel: Channel) -> Result<Vec<String>, Code> {
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answer = v1alpha::server_reflection_client::ServerReflectionClient::new(channel)
        .server_reflection_info(stream::iter([request]))
        .await
        .map_err(|status| status.code())?;
    let message = answer.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = message else { panic!("{message:?}") };
    Ok(list.service.into_iter().map(|service| service.name).collect())
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let toy = Toy::start(ServerSettings { reflection: Some(false), ..settings() }).await;
    assert_eq!(services(toy.channel.clone()).await, Err(Code::Unimplemented));
    assert_eq!(old_services(toy.channel.clone()).await, Err(Code::Unimplemented));
}

#[tokio::test]
async fn it_is_off_in_production_unless_enabled() {
    for (asked, expected) in [(None, false), (Some(true), true)] {
        let settings = ServerSettings { reflection: asked, ..settings() };
        let server = Server::new(&settings, None, AccessRules::new(), &Registry::new()).in_production(true);
        assert_eq!(server.settings().reflection, Some(expected));
        let listener = TcpListener::bind(settings.listen).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
        let channel = channel(&url, &ClientSettings::default()).unwrap();
        assert_eq!(services(channel).await.is_ok(), expected);
        shutdown.cancel();
        serving.await.unwrap().unwrap();
    }
}
