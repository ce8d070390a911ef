//! What any tool sees of a service without knowing it: health and reflection.

use flotilla_workload::client::Api;
use tonic::Request;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::fleet::fleet;

const OFFERS: [(&str, &[&str]); 5] = [
    ("identity", &["flotilla.identity.v1.AuthService", "flotilla.identity.v1.UserService"]),
    ("inventory", &["flotilla.inventory.v1.CatalogService", "flotilla.inventory.v1.StockService"]),
    ("orders", &["flotilla.orders.v1.OrderService"]),
    ("payments", &["flotilla.payments.v1.PaymentService"]),
    ("notification", &["flotilla.notification.v1.NotificationService"]),
];

async fn ask(api: &Api, message: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let mut client = ServerReflectionClient::new(api.channel());
    let mut answers = client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap().message_response.unwrap()
}

/// Lists the services at an address, and sees that the schema and the health of each are there.
async fn offered(address: &str) -> Vec<String> {
    let api = Api::at(&format!("http://{address}")).unwrap();
    let MessageResponse::ListServicesResponse(list) = ask(&api, MessageRequest::ListServices(String::new())).await
    else {
        panic!("{address} answers no list");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    for name in &names {
        let schema = ask(&api, MessageRequest::FileContainingSymbol(name.clone())).await;
        assert!(matches!(schema, MessageResponse::FileDescriptorResponse(_)), "{address} has no schema of {name}");
    }
    let overall = HealthCheckRequest { service: String::new() };
    let health = HealthClient::new(api.channel()).check(Request::new(overall)).await.unwrap().into_inner();
    assert_eq!(health.status(), ServingStatus::Serving, "{address}");
    names
}

#[tokio::test]
async fn every_service_has_health_and_reflection() {
    let fleet = fleet().await;
    let mut all = vec!["grpc.health.v1.Health"];
    for (service, own) in OFFERS {
        let address = &fleet.state.member(service).unwrap().address;
        assert_eq!(offered(address).await, [own, &["grpc.health.v1.Health"]].concat(), "{service}");
        all.extend(own);
    }
    all.sort_unstable();
    assert_eq!(offered(&fleet.state.member("gateway").unwrap().address).await, all, "the gateway has them all");
}
