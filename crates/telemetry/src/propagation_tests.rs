//! Headers read and written.

use std::collections::BTreeMap;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::prelude::*;

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn read(headers: &[(&str, &'static str)]) -> Option<String> {
    let find = |name: &'static str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    Parent::of_headers(find).map(|parent| parent.traceparent())
}

#[test]
fn a_span_continues_the_trace_it_is_given() {
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    crate::subscribed::under(tracing_subscriber::registry().with(layer), || {
        let span = tracing::info_span!("call");
        set_parent(&span, PARENT);
        let _in = span.enter();
        let current = current_traceparent().unwrap();
        assert_eq!(current.len(), PARENT.len());
        assert_eq!(current[..36], PARENT[..36], "same trace");
        assert_ne!(current[36..52], PARENT[36..52], "a span of its own");
        assert!(current.ends_with("-01"));
    });
}

#[test]
fn without_export_there_is_no_traceparent() {
    crate::subscribed::under(tracing_subscriber::registry(), || {
        let span = tracing::info_span!("call");
        set_parent(&span, PARENT);
        let _in = span.enter();
        assert_eq!(current_traceparent(), None);
    });
    assert_eq!(current_traceparent(), None);
}

#[test]
fn an_invalid_traceparent_is_ignored() {
    for text in [
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ] {
        assert!(Parent::parse(text).is_none(), "{text:?}");
    }
    assert!(Parent::parse(PARENT).is_some_and(|parent| parent.is_sampled()));
    assert!(Parent::parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra").is_some());
}

#[test]
fn the_sampled_digit_is_read_without_parsing() {
    assert!(is_sampled(PARENT) && is_sampled(&PARENT.replace("-01", "-03")));
    for other in [PARENT.replace("-01", "-00"), PARENT.replace("-01", "-02"), String::new(), "00-1-2-01".to_owned()] {
        assert!(!is_sampled(&other), "{other}");
    }
}

#[test]
fn b3_is_read_from_one_header_or_several_and_w3c_comes_first() {
    let single = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1";
    assert_eq!(read(&[("b3", single)]).as_deref(), Some(PARENT));
    assert_eq!(
        read(&[("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-d-05e3ac9a4f6e3b90")]).as_deref(),
        Some(PARENT)
    );
    let several = [("x-b3-traceid", TRACE), ("x-b3-spanid", "b7ad6b7169203331")];
    let unsampled = PARENT.replace("-01", "-00");
    assert_eq!(read(&several), Some(unsampled.clone()));
    assert_eq!(read(&[several[0], several[1], ("x-b3-sampled", "0")]), Some(unsampled));
    assert_eq!(read(&[several[0], several[1], ("x-b3-sampled", "1")]).as_deref(), Some(PARENT));
    assert_eq!(read(&[several[0], several[1], ("x-b3-flags", "1")]).as_deref(), Some(PARENT));
    let other = "00-11111111111111111111111111111111-2222222222222222-01";
    assert_eq!(read(&[("b3", single), ("traceparent", other)]).as_deref(), Some(other));
    // Half an id, as old tracers make them.
    let half = read(&[("b3", "8448eb211c80319c-b7ad6b7169203331-1")]).unwrap();
    assert_eq!(half, "00-00000000000000008448eb211c80319c-b7ad6b7169203331-01");
    for rubbish in ["0", "1", "", "x-y-1", "8448eb211c80319c-b7ad6b7169203331-7", "-"] {
        assert_eq!(read(&[("b3", rubbish)]), None, "{rubbish:?}");
    }
}

#[test]
fn outgoing_headers_have_the_listed_formats() {
    let written = |propagators: Option<&str>| {
        let outgoing = Outgoing::from_environment(|_| propagators.map(str::to_owned));
        let mut headers = BTreeMap::new();
        outgoing.write(&Parent::parse(PARENT).unwrap(), |name, value| drop(headers.insert(name, value)));
        headers
    };
    assert_eq!(written(None), BTreeMap::from([("traceparent", PARENT.to_owned())]));
    assert_eq!(written(Some("tracecontext,baggage")).len(), 1);
    assert!(written(Some("none")).is_empty());
    let single = written(Some("b3"));
    assert_eq!(single["b3"], format!("{TRACE}-b7ad6b7169203331-1"));
    let all = written(Some("tracecontext, b3multi"));
    assert_eq!(all.len(), 4);
    assert_eq!((all["x-b3-traceid"].as_str(), all["x-b3-sampled"].as_str()), (TRACE, "1"));
}
