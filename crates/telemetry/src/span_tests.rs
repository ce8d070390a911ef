//! Spans as an exporter sees them.

use std::sync::{LazyLock, Mutex};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanProcessor};

use super::*;
use crate::sampler::HeadSampler;

/// Ended spans of all tests in this process.
static ENDED: Mutex<Vec<SpanData>> = Mutex::new(Vec::new());
/// Samples no roots, so that a sampled span must have a sampled parent.
static PROVIDER: LazyLock<SdkTracerProvider> = LazyLock::new(|| {
    SdkTracerProvider::builder().with_span_processor(Kept).with_sampler(HeadSampler::ratio(0.0)).build()
});

#[derive(Debug)]
struct Kept;

impl SpanProcessor for Kept {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        ENDED.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn exported() {
    set_source(vec![(ServiceScope::default(), PROVIDER.tracer("test"))], true);
}

/// The spans of one trace in the order of their ends.
fn ended(trace: &str) -> Vec<SpanData> {
    let ended = ENDED.lock().unwrap();
    ended.iter().filter(|span| span.span_context.trace_id().to_string() == trace).cloned().collect()
}

fn parent(trace: &str, sampled: bool) -> String {
    format!("00-{trace}-b7ad6b7169203331-0{}", u8::from(sampled))
}

fn request(traceparent: &str) -> Span {
    Span::serve(|| Parent::parse(traceparent), || "request")
}

#[tokio::test]
async fn the_spans_of_a_sampled_request_are_a_tree() {
    exported();
    let trace = "11111111111111111111111111111111";
    let request = request(&parent(trace, true));
    assert!(request.is_recorded() && !sampled());
    request
        .within(async {
            assert!(sampled());
            let statement = Span::child(Kind::Client, "SELECT orders");
            statement.set("db.system.name", "postgresql");
            statement.within(tokio::task::yield_now()).await;
            statement.error("timeout", &std::io::Error::other("too slow"));
            event("moved", [KeyValue::new("to", "paying")]);
        })
        .await;
    assert!(!sampled(), "only within");
    drop(request);
    let [statement, request] = ended(trace).try_into().unwrap();
    assert_eq!((statement.name.as_ref(), statement.span_kind.clone()), ("SELECT orders", Kind::Client));
    assert_eq!(statement.parent_span_id, request.span_context.span_id());
    assert_eq!(request.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(statement.status, Status::error("too slow"));
    assert_eq!(statement.events.iter().next().unwrap().name, "exception");
    assert_eq!(request.events.iter().next().unwrap().name, "moved");
    assert_eq!(request.status, Status::Unset);
}

#[test]
fn nothing_is_recorded_in_an_unsampled_trace() {
    exported();
    let trace = "22222222222222222222222222222222";
    let unsampled = parent(trace, false);
    let request = request(&unsampled);
    let entered = request.enter();
    assert!(!sampled() && current_ids().is_none());
    for span in [
        Span::child(Kind::Client, "child"),
        Span::follow(Kind::Consumer, "follow", Some(&unsampled)),
        Span::follow(Kind::Consumer, "follow", None),
        Span::gather(Kind::Consumer, || "gather", [unsampled.as_str(), "rubbish"]),
        Span::serve(|| None, || "root"),
    ] {
        assert!(!span.is_recorded() && span.traceparent().is_none(), "{span:?}");
        span.set("key", "value");
        span.fail("kind", "why");
    }
    drop(entered);
    assert!(ended(trace).is_empty());
}

#[test]
fn a_batch_and_its_sampled_members_are_linked_to_each_other() {
    exported();
    let (one, other) = ("33333333333333333333333333333333", "44444444444444444444444444444444");
    let members = [parent(one, true), parent(other, false)];
    let batch = Span::gather(Kind::Consumer, || "batch", members.iter().map(String::as_str));
    let ids = batch.traceparent().unwrap();
    for member in &members {
        drop(Span::follow_linked(Kind::Consumer, "process", Some(member), &batch));
    }
    drop(batch);
    let [process] = ended(one).try_into().unwrap();
    assert_eq!(process.parent_span_id.to_string(), "b7ad6b7169203331");
    let link = process.links.iter().next().unwrap().span_context.clone();
    assert_eq!(traceparent(&link), ids);
    assert!(ended(other).is_empty());
    let [batch] = ended(&ids[3..35]).try_into().unwrap();
    let links: Vec<_> = batch.links.iter().map(|link| link.span_context.trace_id().to_string()).collect();
    assert_eq!(links, [one]);
}

#[test]
fn the_current_ids_are_those_of_the_current_span() {
    exported();
    let trace = "55555555555555555555555555555555";
    let request = request(&parent(trace, true));
    let _entered = request.enter();
    let ids = current_ids().unwrap();
    assert_eq!(ids.trace().to_string(), trace);
    assert_eq!(crate::current_traceparent().unwrap()[36..52], ids.span().to_string());
}

/// `cargo test -p flotilla-telemetry --release cost_of_a_span -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn cost_of_a_span() {
    const ROUNDS: u32 = 200_000;
    exported();
    let time = |what: &str, work: &dyn Fn()| {
        let began = std::time::Instant::now();
        (0..ROUNDS).for_each(|_| work());
        println!("{what}: {} ns", began.elapsed().as_nanos() / u128::from(ROUNDS));
        ENDED.lock().unwrap().clear();
    };
    let statement = || {
        let span = Span::child(Kind::Client, "SELECT orders");
        span.set("db.system.name", "postgresql");
        span.set("db.query.summary", "SELECT orders");
    };
    let (unsampled, sampled) =
        (parent("66666666666666666666666666666666", false), parent("66666666666666666666666666666666", true));
    time("request, not sampled by its sender", &|| drop(request(&unsampled)));
    time("request, root, not sampled", &|| drop(Span::serve(|| None, || "request")));
    time("statement, outside of a sampled trace", &statement);
    time("event of a batch, not sampled", &|| drop(Span::follow(Kind::Consumer, "process", Some(&unsampled))));
    time("event of a batch, sampled", &|| drop(Span::follow(Kind::Consumer, "process", Some(&sampled))));
    let request = request(&sampled);
    let _entered = request.enter();
    time("statement, sampled, without its export", &statement);
}
