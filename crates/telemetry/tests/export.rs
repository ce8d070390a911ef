//! A process with telemetry, as its collector and the reader of its logs see it. The process is this test binary again,
//! started with the variables that it needs, because a test can't change its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_telemetry::{
    Kind, LogFormat, SPANS, ServiceScope, Span, TelemetrySettings, current_traceparent, init, init_shared, set_parent,
    spawn,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

const CHILD: &str = "TELEMETRY_TEST_CHILD";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// A collector, its address, and the task that serves it.
    async fn serve() -> (Self, String, JoinHandle<Result<(), tonic::transport::Error>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self::default();
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        let server = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, endpoint, server)
    }

    /// The spans' names with the trace that they belong to.
    fn spans(&self) -> Vec<(String, String)> {
        let requests = self.0.lock().unwrap();
        let scopes = requests.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans);
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        scopes.flat_map(|scope| &scope.spans).map(|span| (span.name.clone(), hex(&span.trace_id))).collect()
    }

    /// The spans' names with the service that their resource names.
    fn services(&self) -> Vec<(String, String)> {
        let requests = self.0.lock().unwrap();
        let mut found = Vec::new();
        for resource in requests.iter().flat_map(|request| &request.resource_spans) {
            let attributes = resource.resource.iter().flat_map(|resource| &resource.attributes);
            let name = attributes.filter(|pair| pair.key == "service.name").map(|pair| format!("{:?}", pair.value));
            let name = name.collect::<String>();
            let service =
                ["orders", "payments", "flotilla"].into_iter().find(|known| name.contains(&format!("\"{known}\"")));
            let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
            found.extend(spans.map(|span| (span.name.clone(), service.unwrap_or("unknown").to_owned())));
        }
        found.sort();
        found
    }

    /// The resource's attributes.
    fn resource(&self) -> String {
        format!("{:?}", self.0.lock().unwrap().iter().flat_map(|r| &r.resource_spans).map(|r| &r.resource).next())
    }
}

async fn run_child(variables: &[(&str, &str)]) -> String {
    run("the_process", variables).await
}

async fn run(process: &str, variables: &[(&str, &str)]) -> String {
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", process, "--nocapture"])
        .env_remove("RUST_LOG")
        .env(CHILD, "1")
        .envs(variables.iter().copied())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), child).await.unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Does nothing unless another test starts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let settings = TelemetrySettings { format: LogFormat::Json, ..TelemetrySettings::default() };
    let telemetry = init("orders", &settings).unwrap();
    assert!(init("orders", &settings).is_err(), "only once");
    let call = tracing::info_span!(target: SPANS, "place_order", order_id = 7);
    set_parent(&call, PARENT);
    call.in_scope(|| {
        tracing::info!(traceparent = current_traceparent(), "order placed");
        tracing::debug!("details");
        tracing::info_span!(target: "h2", "frame").in_scope(|| ());
    });
    drop(call);
    telemetry.shutdown().await;
}

/// A process of two services. Does nothing unless another test starts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shared_process() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let settings = TelemetrySettings { format: LogFormat::Json, ..TelemetrySettings::default() };
    let telemetry = init_shared("flotilla", &["orders", "payments"], &settings).unwrap();
    let work = |name: &'static str| {
        let span = Span::follow(Kind::Internal, name, Some(PARENT));
        let within = span.within(async move {
            tracing::info!(work = name, "done");
            tracing::info!(work = name, service = "named", "done by another");
        });
        async move {
            within.await;
            drop(span);
        }
    };
    for service in ["orders", "payments"] {
        // The task is spawned by the service: it belongs to it.
        ServiceScope::of(service).within(async move { spawn(work(service)).await.unwrap() }).await;
    }
    work("nobody").await;
    telemetry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_lines_of_a_shared_process_name_the_service_that_they_are_of() {
    let (collector, endpoint, server) = Collector::serve().await;
    let logs = run("the_shared_process", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    server.abort();
    let pair = |name: &str, service: &str| (name.to_owned(), service.to_owned());
    let expected = [pair("nobody", "flotilla"), pair("orders", "orders"), pair("payments", "payments")];
    assert_eq!(collector.services(), expected);
    let lines: Vec<serde_json::Value> =
        logs.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |work: &str, message: &str| {
        let line = lines.iter().find(|line| line["work"] == work && line["message"] == message).unwrap();
        line["service"].as_str().map(str::to_owned)
    };
    assert_eq!(of("orders", "done").as_deref(), Some("orders"));
    assert_eq!(of("payments", "done").as_deref(), Some("payments"));
    assert_eq!(of("nobody", "done"), None);
    assert_eq!(of("orders", "done by another").as_deref(), Some("named"), "it is written once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_reach_the_collector_before_the_process_ends() {
    let (collector, endpoint, server) = Collector::serve().await;
    let logs = run_child(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
    ])
    .await;
    server.abort();
    assert_eq!(collector.spans(), [("place_order".to_owned(), PARENT[3..35].to_owned())]);
    for attribute in ["orders", "deployment.environment", "flotilla"] {
        assert!(collector.resource().contains(attribute), "{}", collector.resource());
    }
    assert!(logs.contains("\"message\":\"order placed\"") && logs.contains(&PARENT[..36]), "{logs}");
    assert!(!logs.contains("details"), "{logs}");
}

#[tokio::test]
async fn without_a_collector_there_are_logs_and_no_traceparent() {
    let logs = run_child(&[("RUST_LOG", "debug")]).await;
    assert!(logs.contains("order placed") && !logs.contains("traceparent"), "{logs}");
    assert!(logs.contains("details"), "{logs}");
}
