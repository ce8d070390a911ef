//! An exemplar in the metrics leads to its trace. The process under test is this test binary again, started with the
//! variables that it needs.

use std::process::Stdio;
use std::time::Duration;

use flotilla_rpc::{AccessRules, ChannelBuilder, ClientSettings, Server, ServerSettings};
use flotilla_telemetry::{TelemetrySettings, expose, init};
use flotilla_testkit::in_memory_with;
use flotilla_testkit::otlp::Receiver;
use tonic::Request;
use tonic::client::Grpc;

use crate::echo::{Echo, Text, methods};

const CHILD: &str = "TESTKIT_EXEMPLAR_CHILD";
const FOUND: &str = "exemplar of the call: ";
const TIMEOUT: Duration = Duration::from_secs(60);

/// Does nothing unless the test below starts it: serves one call and prints the exemplars of its histogram.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let telemetry = init("toy", &TelemetrySettings::default()).unwrap();
    let server = Server::new(&ServerSettings::default(), None, AccessRules::of(&methods()), telemetry.registry());
    let client = ChannelBuilder::new(&ClientSettings::default()).methods(&methods());
    let (channel, server) = in_memory_with(server.add(Echo), client);
    let path = "/toy.Echo/One".parse().unwrap();
    Grpc::new(channel).unary(Request::new("tea".to_owned()), path, Text).await.unwrap();
    server.stop().await;
    let exposition = expose(telemetry.registry(), Some("application/openmetrics-text"));
    let buckets =
        exposition.body.lines().filter(|line| line.starts_with("flotilla_rpc_request_duration_seconds_bucket"));
    for bucket in buckets.filter(|bucket| bucket.contains("toy.Echo")) {
        if let Some((_, exemplar)) = bucket.split_once(" # {trace_id=\"") {
            println!("{FOUND}{}", &exemplar[..32]);
        }
    }
    telemetry.shutdown().await;
}

#[tokio::test]
async fn the_exemplar_of_a_call_leads_to_its_trace_at_the_collector() {
    let receiver = Receiver::start().await;
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "exemplar::the_process", "--nocapture"])
        .env(CHILD, "1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(TIMEOUT, child).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let traces: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(FOUND)?.1)).collect();
    let [trace] = traces[..] else { panic!("one bucket has an exemplar: {text}") };
    let served = |kind: &str, id: &str| kind == "server" && id == trace;
    let spans = receiver.wait_until(|spans| spans.iter().any(|span| served(span.kind, &span.trace_id))).await;
    let span = spans.iter().find(|span| served(span.kind, &span.trace_id)).unwrap();
    assert_eq!((span.service.as_str(), span.name.as_str()), ("toy", "toy.Echo/One"));
}
