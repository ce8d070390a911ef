//! A process with telemetry, as its collector and the reader of its logs see it. The process is this test binary again,
//! started with the variables that it needs, because a test can't change its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_telemetry::{LogFormat, SPANS, TelemetrySettings, current_traceparent, init, set_parent};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
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
    /// The spans' names with the trace that they belong to.
    fn spans(&self) -> Vec<(String, String)> {
        let requests = self.0.lock().unwrap();
        let scopes = requests.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans);
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        scopes.flat_map(|scope| &scope.spans).map(|span| (span.name.clone(), hex(&span.trace_id))).collect()
    }

    /// The resource's attributes.
    fn resource(&self) -> String {
        format!("{:?}", self.0.lock().unwrap().iter().flat_map(|r| &r.resource_spans).map(|r| &r.resource).next())
    }
}

async fn run_child(variables: &[(&str, &str)]) -> String {
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process", "--nocapture"])
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_reach_the_collector_before_the_process_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = Collector::default();
    let service = TraceServiceServer::new(collector.clone());
    let server = tonic::transport::Server::builder().add_service(service);
    let server = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
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
