//! Histograms whose buckets have exemplars.
//!
//! The counts are those of the `prometheus` crate. The exemplars are collected with them as a second family, named after
//! the histogram plus [`EXEMPLARS`], which the encoders remove again. So the registry is all that an encoder needs, and
//! because of the colon the name can't be another metric's.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::UNIX_EPOCH;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use super::exemplar::{Exemplar, SampledTrace, Slots};
use super::open_metrics::bound;

/// Suffix of the name of a family of exemplars.
pub(super) const EXEMPLARS: &str = ":exemplars";
/// The label that holds the trace's id.
pub(super) const TRACE_ID: &str = "trace_id";

/// A histogram that keeps for each bucket the newest observation within a sampled trace. Clones share it.
#[derive(Clone, Debug)]
pub struct ExemplarHistogram {
    counts: Histogram,
    slots: Arc<Slots>,
}

impl ExemplarHistogram {
    /// Observes a value in the trace of the current span.
    pub fn observe(&self, value: f64) {
        self.observe_with(value, SampledTrace::current());
    }

    /// Observes a value in a trace, if there is one.
    pub fn observe_with(&self, value: f64, trace: Option<SampledTrace>) {
        self.counts.observe(value);
        if let Some(trace) = trace {
            self.slots.keep(value, trace);
        }
    }

    /// Number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.get_sample_count()
    }
}

/// Histograms with exemplars by label values. Clones share them.
#[derive(Clone, Debug)]
pub struct ExemplarHistogramVec {
    counts: HistogramVec,
    names: Arc<[String]>,
    bounds: Arc<[f64]>,
    children: Arc<RwLock<HashMap<Vec<String>, Arc<Slots>>>>,
}

impl ExemplarHistogramVec {
    /// Creates histograms with these labels and registers them. The options must have buckets.
    ///
    /// # Errors
    /// The options are invalid, or the name is already registered.
    pub fn register(opts: HistogramOpts, labels: &[&str], registry: &Registry) -> Result<Self, prometheus::Error> {
        let bounds = opts.buckets.iter().copied().filter(|bound| bound.is_finite()).collect();
        let names = labels.iter().map(|name| (*name).to_owned()).collect();
        let vec = Self { counts: HistogramVec::new(opts, labels)?, names, bounds, children: Arc::default() };
        registry.register(Box::new(vec.clone()))?;
        Ok(vec)
    }

    /// The histogram with these label values, in the labels' order. Call it once and keep the result.
    ///
    /// # Panics
    /// There are more or fewer values than labels.
    #[must_use]
    pub fn with_label_values(&self, values: &[&str]) -> ExemplarHistogram {
        let counts = self.counts.with_label_values(values);
        let key = values.iter().map(|value| (*value).to_owned()).collect();
        let mut children = self.children.write().unwrap_or_else(PoisonError::into_inner);
        let slots = Arc::clone(children.entry(key).or_insert_with(|| Arc::new(Slots::new(&self.bounds))));
        ExemplarHistogram { counts, slots }
    }

    /// The exemplars of one histogram as metrics: its labels, `le`, the trace, and the observation's value and time.
    fn exemplars(&self, of: &Metric) -> Vec<Metric> {
        let value = |name: &String| of.get_label().iter().find(|pair| pair.name() == name).map(LabelPair::value);
        let key: Vec<String> = self.names.iter().filter_map(value).map(str::to_owned).collect();
        let children = self.children.read().unwrap_or_else(PoisonError::into_inner);
        let Some(slots) = children.get(&key) else { return Vec::new() };
        slots.all().map(|(upper, exemplar)| metric(of.get_label(), upper, &exemplar)).collect()
    }
}

impl Collector for ExemplarHistogramVec {
    fn desc(&self) -> Vec<&Desc> {
        self.counts.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.counts.collect();
        let Some(counts) = families.first() else { return families };
        let metrics: Vec<Metric> = counts.get_metric().iter().flat_map(|metric| self.exemplars(metric)).collect();
        if !metrics.is_empty() {
            let mut family = MetricFamily::default();
            family.set_name(format!("{}{EXEMPLARS}", counts.name()));
            family.set_field_type(MetricType::GAUGE);
            family.set_metric(metrics);
            families.push(family);
        }
        families
    }
}

fn metric(labels: &[LabelPair], upper: f64, exemplar: &Exemplar) -> Metric {
    let pair = |name: &str, value: String| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value);
        pair
    };
    let mut labels = labels.to_vec();
    labels.push(pair("le", bound(upper)));
    labels.push(pair(TRACE_ID, exemplar.trace.to_string()));
    let mut metric = Metric::from_label(labels);
    let mut gauge = Gauge::default();
    gauge.set_value(exemplar.value);
    metric.set_gauge(gauge);
    let at = exemplar.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    metric.set_timestamp_ms(i64::try_from(at.as_millis()).unwrap_or(i64::MAX));
    metric
}
