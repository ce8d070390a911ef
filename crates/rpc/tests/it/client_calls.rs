//! What goes with a call, and what is counted of it.

use flotilla_rpc::{CallContext, ChannelBuilder, ClientMetrics, RequestId};
use flotilla_telemetry::Registry;
use tonic::{Code, Status};

use crate::client_replica::{Act, READ, Replica, WRITE, call, methods, quick, to, watch};

#[tokio::test]
async fn the_context_of_the_served_call_is_passed_on() {
    let replica = Replica::start();
    let channel = to(&[&replica], &quick()).with_token("secret").unwrap();
    let context = CallContext {
        request_id: RequestId::new("r1"),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ..CallContext::default()
    };
    context.scope(call(&channel, READ, "")).await.unwrap();
    let headers = replica.headers();
    assert_eq!(headers["x-request-id"], "r1");
    assert_eq!(headers["authorization"], "Bearer secret");
    assert!(headers["traceparent"].to_str().unwrap().starts_with("00-"));
    assert!(headers.contains_key("grpc-timeout") && headers.contains_key("user-agent"));
}

#[tokio::test]
async fn calls_are_counted_at_their_end_wherever_the_status_is() {
    let replica = Replica::start();
    let registry = Registry::new();
    let channel = ChannelBuilder::new(&quick())
        .methods(&methods())
        .metrics(&ClientMetrics::register(&registry))
        .connect(&format!("http://{}", replica.address))
        .unwrap();
    for path in [READ, WRITE] {
        replica.act(Act::Answer);
        call(&channel, path, "").await.unwrap();
        replica.act(Act::Fail(Code::DataLoss));
        call(&channel, path, "").await.unwrap_err();
        replica.act(Act::Refuse(Status::not_found("")));
        call(&channel, path, "").await.unwrap_err();
    }
    replica.act(Act::RefuseOnce(Status::unavailable("")));
    call(&channel, READ, "").await.unwrap();
    replica.act(Act::Fail(Code::Aborted));
    let mut stream = watch(&channel, None).await.unwrap();
    while stream.message().await.is_ok() {}
    replica.act(Act::Hang);
    drop(watch(&channel, None).await.unwrap());
    let text = flotilla_telemetry::render(&registry);
    for (code, method, count) in [
        ("OK", "Read", 2),
        ("DATA_LOSS", "Read", 1),
        ("NOT_FOUND", "Read", 1),
        ("OK", "Write", 1),
        ("DATA_LOSS", "Write", 1),
        ("NOT_FOUND", "Write", 1),
        ("ABORTED", "Watch", 1),
        ("CANCELLED", "Watch", 1),
    ] {
        let labels = format!("code=\"{code}\",method=\"{method}\",service=\"toy.Toy\"");
        let line = format!("flotilla_rpc_client_requests_total{{{labels}}} {count}");
        assert!(text.contains(&line), "{line} in\n{text}");
    }
    for line in [
        "flotilla_rpc_client_retries_total{method=\"Read\",service=\"toy.Toy\"} 1",
        "flotilla_rpc_client_in_flight{method=\"Read\",service=\"toy.Toy\"} 0",
        "flotilla_rpc_client_in_flight{method=\"Watch\",service=\"toy.Toy\"} 0",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
