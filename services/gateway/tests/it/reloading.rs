//! Settings that change while the gateway serves.

use flotilla_config::Sources;
use flotilla_gateway::Settings;
use flotilla_service::{Configuration, Outcome};

use crate::fixture::Fixture;

/// The gateway's settings with so many calls a second from one address.
fn toml(per_address: u32) -> String {
    let services = ["identity", "inventory", "orders", "payments", "notification"];
    let backends: String = services.iter().map(|name| format!("{name} = \"http://{name}:1\"\n")).collect();
    format!("[grpc.rate_limit]\nper_address = {per_address}\n[backends]\n{backends}")
}

#[tokio::test]
async fn a_rate_limit_lifted_in_a_file_is_lifted_for_the_next_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, toml(1)).unwrap();
    let sources = Sources::of([]).file(&file);
    let configuration = Configuration::<Settings>::load("gateway", sources).await.unwrap();
    let limits = configuration.settings().process.grpc.rate_limit;
    let fixture = Fixture::with(|settings| settings.process.grpc.rate_limit = limits).await;
    let is_limited = async || fixture.call("GET /v1/products").send().await.status == 429;
    let mut limited = false;
    for _ in 0..50 {
        limited |= is_limited().await;
    }
    assert!(limited, "one call a second, two at once");

    std::fs::write(&file, toml(0)).unwrap();
    let outcome = configuration.reload("test").await;
    assert_eq!(outcome, Outcome::Applied(vec!["grpc.rate_limit.per_address".to_owned()]));
    for _ in 0..50 {
        assert!(!is_limited().await, "no limit any more");
    }
}
