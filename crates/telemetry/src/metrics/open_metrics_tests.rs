//! The text, line for line; `tests/open_metrics.rs` reads it by the grammar.

use prometheus::{GaugeVec, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use super::*;
use crate::metrics::{ExemplarHistogramVec, SampledTrace};

fn text(registry: &Registry) -> String {
    encode(&registry.gather())
}

#[test]
fn a_counters_family_has_no_suffix_but_its_samples_do() {
    let registry = Registry::new();
    let requests = IntCounterVec::new(Opts::new("requests_total", "Requests"), &["code"]).unwrap();
    requests.with_label_values(&["OK"]).inc_by(3);
    let odd = IntCounter::new("odd", "Without the suffix").unwrap();
    registry.register(Box::new(requests)).unwrap();
    registry.register(Box::new(odd)).unwrap();
    assert_eq!(
        text(&registry),
        "# TYPE odd counter\n# HELP odd Without the suffix\nodd_total 0\n\
         # TYPE requests counter\n# HELP requests Requests\nrequests_total{code=\"OK\"} 3\n# EOF\n"
    );
}

#[test]
fn units_are_written_and_texts_escaped() {
    let registry = Registry::new();
    let age = GaugeVec::new(Opts::new("age_seconds", "Its \"age\"\nby \\"), &["of"]).unwrap();
    age.with_label_values(&["a\"b\\c\nd"]).set(0.5);
    registry.register(Box::new(age)).unwrap();
    assert_eq!(
        text(&registry),
        "# TYPE age_seconds gauge\n# UNIT age_seconds seconds\n# HELP age_seconds Its \\\"age\\\"\\nby \\\\\n\
         age_seconds{of=\"a\\\"b\\\\c\\nd\"} 0.5\n# EOF\n"
    );
}

#[test]
fn a_bucket_has_the_exemplar_of_its_own_labels() {
    let registry = Registry::new();
    let opts = HistogramOpts::new("took_seconds", "Time").buckets(vec![0.25, 5.0]);
    let took = ExemplarHistogramVec::register(opts, &["route"], &registry).unwrap();
    let trace = SampledTrace::named("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    took.with_label_values(&["/a"]).observe_with(0.125, None);
    took.with_label_values(&["/b"]).observe_with(0.125, trace);
    took.with_label_values(&["/b"]).observe_with(8.0, trace);
    let text = text(&registry);
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("_bucket")).collect();
    assert_eq!(
        lines[..3],
        [
            "took_seconds_bucket{route=\"/a\",le=\"0.25\"} 1",
            "took_seconds_bucket{route=\"/a\",le=\"5.0\"} 1",
            "took_seconds_bucket{route=\"/a\",le=\"+Inf\"} 1",
        ]
    );
    let start =
        "took_seconds_bucket{route=\"/b\",le=\"0.25\"} 1 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.125 1";
    assert!(lines[3].starts_with(start), "{}", lines[3]);
    assert_eq!(lines[4], "took_seconds_bucket{route=\"/b\",le=\"5.0\"} 1");
    assert!(lines[5].contains(" 2 # {trace_id=") && lines[5].contains("} 8 1"), "{}", lines[5]);
    assert!(text.contains("took_seconds_sum{route=\"/b\"} 8.125\n"), "{text}");
    assert!(!text.contains(EXEMPLARS));
    assert!(!crate::render(&registry).contains("trace_id"), "the text format has no exemplars");
}

#[test]
fn numbers_are_written_as_prometheus_stores_them() {
    for (value, written) in
        [(1.0, "1"), (0.25, "0.25"), (-3.0, "-3"), (1e17, "1e17"), (f64::NAN, "NaN"), (f64::INFINITY, "+Inf")]
    {
        assert_eq!(number(value), written);
    }
    assert_eq!((bound(1.0), bound(0.0001)), ("1.0".to_owned(), "0.0001".to_owned()));
}
