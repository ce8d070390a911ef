//! Server-sent events.

use std::time::Duration;

use flotilla_config::HumanDuration;

use crate::fixture::Fixture;
use crate::http::events;

fn ids(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
}

#[tokio::test]
async fn a_stream_runs_to_its_end_over_both_http_versions() {
    let fixture = Fixture::start().await;
    let call = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000dead:watch");
    for response in [call.clone().open().await, call.http2().open().await] {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(response.headers().contains_key("x-request-id"));
        let text = events(response, |_| false).await;
        assert_eq!(ids(&text), ["1", "2", "3"]);
        assert!(
            text.contains("event: message\ndata: {\"order\":{\"name\":\"orders/00000000-0000-7000-8000-00000000dead\""),
            "{text}"
        );
        assert!(text.ends_with("event: end\ndata: {}\n\n"), "{text}");
    }
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event() {
    let fixture = Fixture::start().await;
    let resumed =
        fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000dead:watch").header("last-event-id", "2");
    assert_eq!(ids(&events(resumed.open().await, |_| false).await), ["3"]);
    let by_query = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000dead:watch?resumeToken=1");
    assert_eq!(ids(&events(by_query.open().await, |_| false).await), ["2", "3"]);
}

#[tokio::test]
async fn an_error_before_the_stream_is_a_problem() {
    let fixture = Fixture::start().await;
    assert_eq!(
        fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-000000000000:watch").send().await.status,
        404
    );
    let bad = fixture
        .as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000dead:watch")
        .header("last-event-id", "x")
        .send()
        .await;
    assert_eq!(bad.problem()["violations"][0]["field"], "resume_token");
}

#[tokio::test]
async fn an_error_in_the_stream_is_an_event() {
    let fixture = Fixture::start().await;
    let text =
        events(fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000badd:watch").open().await, |_| {
            false
        })
        .await;
    assert_eq!(ids(&text), ["1", "2", "3"]);
    let (_, problem) = text.split_once("event: error\ndata: ").unwrap();
    let problem: serde_json::Value = serde_json::from_str(problem).unwrap();
    assert_eq!((&problem["status"], &problem["reason"]), (&503.into(), &"DATABASE_UNAVAILABLE".into()));
}

#[tokio::test]
async fn an_idle_stream_is_kept_open() {
    let heartbeat = HumanDuration(Duration::from_millis(20));
    let fixture = Fixture::with(|settings| settings.edge.heartbeat = heartbeat).await;
    let response = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000beef:watch").open().await;
    let text = events(response, |text| text.matches(": still here\n\n").count() >= 2).await;
    assert_eq!(ids(&text), ["1", "2", "3"]);
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let fixture = Fixture::with(|settings| settings.process.grpc.max_streams = 1).await;
    let first = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000beef:watch").open().await;
    assert_eq!(first.status(), 200);
    let second = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000beef:watch").send().await;
    assert_eq!(second.status, 429);
    drop(first);
    flotilla_testkit::eventually("the place given back", flotilla_testkit::TIMEOUT, || async {
        fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-00000000beef:watch").open().await.status() == 200
    })
    .await;
}
