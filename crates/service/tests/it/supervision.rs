//! A background task that ends too early stops the service with an error.

use flotilla_telemetry::Registry;

use crate::toy::{GRACE, chassis, start};

#[tokio::test]
async fn a_task_that_panics_stops_the_service_with_an_error() {
    let registry = Registry::new();
    let mut chassis = chassis(GRACE, &registry);
    chassis.spawn("relay", async { panic!("a bug") });
    let error = start(chassis, &registry).await.wait().await.unwrap_err().to_string();
    assert!(error.contains("task relay failed"), "{error}");
}

#[tokio::test]
async fn a_task_that_ends_early_stops_the_service_with_an_error() {
    let registry = Registry::new();
    let mut chassis = chassis(GRACE, &registry);
    chassis.spawn("relay", async {});
    let shutdown = chassis.shutdown();
    chassis.spawn("consumers", async move { shutdown.cancelled().await });
    let error = start(chassis, &registry).await.wait().await.unwrap_err().to_string();
    assert_eq!(error, "toy: task relay ended early");
}

#[tokio::test]
async fn an_address_in_use_is_reported() {
    let registry = Registry::new();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let server = flotilla_rpc::Server::new(
        &flotilla_rpc::ServerSettings::default(),
        None,
        flotilla_rpc::AccessRules::new(),
        &registry,
    );
    let started = chassis(GRACE, &registry).start(server, address).await;
    let error = started.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}
