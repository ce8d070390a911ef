//! The metrics of a process are valid OpenMetrics, and their exemplars name traces.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod grammar;

use flotilla_telemetry::{ExemplarHistogramVec, Sli, SliEvents, Telemetry, expose};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use prometheus::HistogramOpts;
use tracing_subscriber::prelude::*;

const ACCEPT: Option<&str> = Some("application/openmetrics-text;version=1.0.0");

/// Observes a histogram outside and inside a span, and returns the span's trace id.
fn observed(telemetry: &Telemetry, sampler: Sampler) -> String {
    let opts = HistogramOpts::new("flotilla_toy_seconds", "Time of a toy.").buckets(vec![0.25, 5.0]);
    let toys = ExemplarHistogramVec::register(opts, &["toy"], telemetry.registry()).unwrap();
    let toy = toys.with_label_values(&["a \"quoted\" one\\"]);
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        toy.observe(1.0);
        tracing::info_span!("play").in_scope(|| {
            toy.observe(0.2);
            flotilla_telemetry::current_traceparent().unwrap()[3..35].to_owned()
        })
    })
}

#[tokio::test]
async fn an_observation_in_a_sampled_span_is_an_exemplar_of_its_bucket_only() {
    let telemetry = Telemetry::quiet("toys");
    let trace = observed(&telemetry, Sampler::AlwaysOn);
    SliEvents::register(Sli::Availability, telemetry.registry()).unwrap().count(true);
    let exposition = expose(telemetry.registry(), ACCEPT);
    assert!(exposition.content_type.starts_with("application/openmetrics-text; version=1.0.0"));
    let families = grammar::read(&exposition.body);
    let toy = &families["flotilla_toy_seconds"];
    assert_eq!((toy.kind.as_str(), toy.unit.as_str()), ("histogram", "seconds"));
    let buckets: Vec<_> = toy.samples.iter().filter(|sample| sample.name.ends_with("_bucket")).collect();
    assert_eq!(buckets[0].labels["toy"], "a 'quoted' one\\", "the reader writes an escaped quote as a single one");
    let (labels, value, at) = buckets[0].exemplar.clone().unwrap();
    assert_eq!((labels["trace_id"].as_str(), value), (trace.as_str(), 0.2));
    assert!(at > 1.7e9, "{at} is a time in seconds");
    assert_eq!((buckets[1].value, &buckets[1].exemplar), (2.0, &None), "outside a span there is no trace");
    assert_eq!(families["flotilla_sli_events"].samples.len(), 2);
    assert_eq!(families["process_cpu_seconds"].unit, "seconds");
}

#[test]
fn an_observation_in_an_unsampled_trace_is_no_exemplar() {
    let telemetry = Telemetry::quiet("toys");
    observed(&telemetry, Sampler::AlwaysOff);
    let families = grammar::read(&expose(telemetry.registry(), ACCEPT).body);
    assert!(families["flotilla_toy_seconds"].samples.iter().all(|sample| sample.exemplar.is_none()));
}
