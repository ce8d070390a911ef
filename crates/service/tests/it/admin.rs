//! The admin endpoints.

use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_rpc::{ClientSettings, channel};
use flotilla_telemetry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::toy::{Switches, get, start, until, until_answer, with_checks};

#[tokio::test]
async fn readiness_fails_for_what_is_required_and_shows_what_is_degraded() {
    let (registry, switches) = (Registry::new(), Switches::default());
    let running = start(with_checks(&switches, &registry), &registry).await;
    let body = until(running.admin, "/readyz", 200).await;
    assert!(body.contains(r#""ready":true"#) && body.contains(r#""degraded":false"#), "{body}");

    switches.broker_down.store(true, Ordering::Relaxed);
    let is_degraded = |status, body: &str| status == 200 && body.contains(r#""degraded":true"#);
    until_answer(running.admin, "/readyz", is_degraded).await;

    switches.database_down.store(true, Ordering::Relaxed);
    let body = until(running.admin, "/readyz", 503).await;
    assert!(body.contains(r#""error":"down""#), "{body}");
    // It lives and has started all the same.
    assert_eq!(get(running.admin, "/livez").await.0, 200);
    assert_eq!(get(running.admin, "/startupz").await.0, 200);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn grpc_health_follows_readiness() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;

    let (registry, switches) = (Registry::new(), Switches::default());
    let running = start(with_checks(&switches, &registry), &registry).await;
    let channel = channel(&format!("http://{}", running.grpc), &ClientSettings::default()).unwrap();
    let mut watch = HealthClient::new(channel).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let mut until = async |expected| {
        let seen = async { while watch.message().await.unwrap().unwrap().status() != expected {} };
        tokio::time::timeout(Duration::from_secs(120), seen).await.unwrap();
    };
    until(ServingStatus::Serving).await;
    switches.database_down.store(true, Ordering::Relaxed);
    until(ServingStatus::NotServing).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_that_was_never_ready_has_not_started() {
    let (registry, switches) = (Registry::new(), Switches::default());
    switches.database_down.store(true, Ordering::Relaxed);
    let running = start(with_checks(&switches, &registry), &registry).await;
    assert_eq!(get(running.admin, "/startupz").await.0, 503);
    switches.database_down.store(false, Ordering::Relaxed);
    until(running.admin, "/startupz", 200).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn metrics_and_version_are_served() {
    let (registry, switches) = (Registry::new(), Switches::default());
    let running = start(with_checks(&switches, &registry), &registry).await;
    let (status, metrics) = get(running.admin, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("flotilla_rpc_shed_total 0"), "{metrics}");
    let (_, version) = get(running.admin, "/version").await;
    assert!(version.contains(r#""service":"toy""#), "{version}");
    assert_eq!(get(running.admin, "/nothing").await.0, 404);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn metrics_are_sent_as_openmetrics_to_clients_that_accept_it() {
    let (registry, switches) = (Registry::new(), Switches::default());
    let running = start(with_checks(&switches, &registry), &registry).await;
    let mut stream = tokio::net::TcpStream::connect(running.admin).await.unwrap();
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let request = format!("GET /metrics HTTP/1.1\r\nhost: toy\r\nconnection: close\r\naccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.contains("# TYPE flotilla_rpc_shed counter\n") && answer.contains("# EOF\n"), "{answer}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn routes_are_mounted_before_the_start_and_after_it() {
    use axum::{Router, routing::get as on_get};

    let (registry, switches) = (Registry::new(), Switches::default());
    let mut chassis = with_checks(&switches, &registry);
    chassis.mount(Router::new().route("/early", on_get(async || "early")));
    let running = start(chassis, &registry).await;
    assert_eq!(get(running.admin, "/late").await.0, 404);
    running.mount(Router::new().route("/late", on_get(async || "late")));
    assert_eq!(get(running.admin, "/early").await, (200, "early".to_owned()));
    assert_eq!(get(running.admin, "/late").await, (200, "late".to_owned()));
    assert_eq!(get(running.admin, "/livez").await.0, 200);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_that_never_finishes_its_headers_is_disconnected() {
    let (registry, switches) = (Registry::new(), Switches::default());
    let running = start(with_checks(&switches, &registry), &registry).await;
    let mut slow = TcpStream::connect(running.admin).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nhost:").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(120), slow.read_to_end(&mut answer)).await.expect("cut off").unwrap();
    running.stop().await.unwrap();
}
