//! Encodes metrics as OpenMetrics 1.0 text.
//!
//! It differs from Prometheus' own format: a counter's family is named without `_total`; families have units; bounds are
//! written as floating point numbers (`le="1.0"`, as Prometheus stores them); buckets have exemplars; an end mark shows
//! that the text is complete.

use std::collections::HashMap;
use std::fmt::Write as _;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::histogram::{EXEMPLARS, TRACE_ID};

/// The media type.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Units, which are suffixes of metric names.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];
/// Up to this bound (2^53) a floating point number can represent every integer.
const MAX_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Encoded exemplars by the encoded labels of their bucket.
type Exemplars = HashMap<String, String>;

/// The families as text.
pub(super) fn encode(families: &[MetricFamily]) -> String {
    let mut exemplars: HashMap<&str, Exemplars> = HashMap::new();
    for family in families {
        if let Some(name) = family.name().strip_suffix(EXEMPLARS) {
            exemplars.insert(name, family.get_metric().iter().map(exemplar).collect());
        }
    }
    let none = Exemplars::new();
    let mut text = String::with_capacity(64 * 1024);
    for family in families.iter().filter(|family| !family.name().ends_with(EXEMPLARS)) {
        let of_family = exemplars.get(family.name()).unwrap_or(&none);
        let name = describe(&mut text, family);
        for metric in family.get_metric() {
            samples(&mut text, name, family.get_field_type(), metric, of_family);
        }
    }
    text.push_str("# EOF\n");
    text
}

/// Writes the description of a family and returns its name.
fn describe<'a>(text: &mut String, family: &'a MetricFamily) -> &'a str {
    let (name, kind) = match family.get_field_type() {
        MetricType::COUNTER => (family.name().strip_suffix("_total").unwrap_or(family.name()), "counter"),
        MetricType::GAUGE => (family.name(), "gauge"),
        MetricType::HISTOGRAM => (family.name(), "histogram"),
        MetricType::SUMMARY => (family.name(), "summary"),
        MetricType::UNTYPED => (family.name(), "unknown"),
    };
    let mut line = |what: &str, value: &str| {
        for part in ["# ", what, " ", name, " ", value, "\n"] {
            text.push_str(part);
        }
    };
    line("TYPE", kind);
    if let Some(unit) = UNITS.iter().find(|unit| name.strip_suffix(*unit).is_some_and(|rest| rest.ends_with('_'))) {
        line("UNIT", unit);
    }
    if !family.help().is_empty() {
        line("HELP", &escaped(family.help()));
    }
    name
}

fn samples(text: &mut String, name: &str, kind: MetricType, metric: &Metric, exemplars: &Exemplars) {
    let own = metric.get_label();
    let mut line = |suffix: &str, labels: &str, value: &str| {
        for part in [name, suffix, labels, " ", value] {
            text.push_str(part);
        }
        if metric.timestamp_ms() != 0 {
            text.push_str(&format!(" {}", seconds(metric.timestamp_ms())));
        }
        if let Some(exemplar) = exemplars.get(labels).filter(|_| suffix == "_bucket") {
            text.push_str(exemplar);
        }
        text.push('\n');
    };
    match kind {
        MetricType::COUNTER => line("_total", &labels(own, None), &number(metric.get_counter().get_value())),
        MetricType::GAUGE => line("", &labels(own, None), &number(metric.get_gauge().get_value())),
        // The prometheus crate has no such metric.
        MetricType::UNTYPED => {}
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
                let le = bound(bucket.upper_bound());
                line("_bucket", &labels(own, Some(("le", &le))), &bucket.cumulative_count().to_string());
            }
            let count = histogram.get_sample_count().to_string();
            line("_bucket", &labels(own, Some(("le", "+Inf"))), &count);
            line("_count", &labels(own, None), &count);
            line("_sum", &labels(own, None), &number(histogram.get_sample_sum()));
        }
        MetricType::SUMMARY => {
            let summary = metric.get_summary();
            for quantile in summary.get_quantile() {
                let of = bound(quantile.quantile());
                line("", &labels(own, Some(("quantile", &of))), &number(quantile.value()));
            }
            line("_count", &labels(own, None), &summary.sample_count().to_string());
            line("_sum", &labels(own, None), &number(summary.sample_sum()));
        }
    }
}

/// The encoded labels of a bucket, and its encoded exemplar.
fn exemplar(metric: &Metric) -> (String, String) {
    let (trace, bucket): (Vec<_>, Vec<_>) =
        metric.get_label().iter().cloned().partition(|pair| pair.name() == TRACE_ID);
    let (value, at) = (number(metric.get_gauge().get_value()), seconds(metric.timestamp_ms()));
    (labels(&bucket, None), format!(" # {} {value} {at}", labels(&trace, None)))
}

fn labels(pairs: &[LabelPair], more: Option<(&str, &str)>) -> String {
    let all = pairs.iter().map(|pair| (pair.name(), pair.value())).chain(more);
    let mut text = String::new();
    for (name, value) in all {
        text.push(if text.is_empty() { '{' } else { ',' });
        // Writing to a string doesn't fail.
        let _ = write!(text, "{name}=\"{}\"", escaped(value));
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

fn seconds(millis: i64) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

/// A value; integers without a fraction.
fn number(value: f64) -> String {
    if value.is_finite() && value.fract() == 0.0 && value.abs() < MAX_INTEGER {
        format!("{value:.0}")
    } else {
        bound(value)
    }
}

/// A bound or quantile: always a floating point number.
pub(super) fn bound(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        // `Debug` writes integers with `.0`.
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
#[path = "open_metrics_tests.rs"]
mod tests;
