//! The metrics of several services of one process as one list of families, told apart by the label `job`: a Prometheus
//! that scrapes each service on its own gives their series the same label, and `service` is already the called gRPC
//! service in some of them.

use std::collections::BTreeMap;

use prometheus::Registry;
use prometheus::proto::{LabelPair, Metric, MetricFamily};

/// The label with the service's name.
const JOB: &str = "job";

/// All families, by name: those of the process as they are, those of each service with the label.
pub(super) fn gather(process: &Registry, services: &[(&str, Registry)]) -> Vec<MetricFamily> {
    let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
    let own = process.gather().into_iter().map(|family| (None, family));
    let of_services = services
        .iter()
        .flat_map(|(service, registry)| registry.gather().into_iter().map(move |family| (Some(*service), family)));
    for (service, mut family) in own.chain(of_services) {
        let mut metrics = family.take_metric();
        if let Some(service) = service {
            metrics.iter_mut().for_each(|metric| label(metric, service));
        }
        let known = families.entry(family.name().to_owned()).or_insert(family);
        // A family has one type. Services are built from the same code, so that it is the same in all of them.
        known.mut_metric().extend(metrics);
    }
    families.into_values().collect()
}

fn label(metric: &mut Metric, service: &str) {
    let mut labels = metric.take_label();
    let mut job = LabelPair::default();
    job.set_name(JOB.to_owned());
    job.set_value(service.to_owned());
    // First, so that the labels of a bucket and those of its exemplar are in the same order.
    labels.insert(0, job);
    metric.set_label(labels);
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, IntCounter};

    use super::super::exposition::expose_all;
    use super::*;
    use crate::metrics::{ExemplarHistogramVec, SampledTrace};

    fn counted(name: &str, count: u64) -> Registry {
        let registry = Registry::new();
        let counter = IntCounter::new(name, "Things.").unwrap();
        counter.inc_by(count);
        registry.register(Box::new(counter)).unwrap();
        registry
    }

    #[test]
    fn the_same_metric_of_several_services_is_one_family_with_a_label() {
        let (orders, payments) = (counted("things_total", 1), counted("things_total", 2));
        let process = counted("process_things_total", 3);
        let text = expose_all(&process, &[("orders", orders), ("payments", payments)], None).body;
        for line in ["things_total{job=\"orders\"} 1", "things_total{job=\"payments\"} 2", "process_things_total 3"] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
        assert_eq!(text.matches("# TYPE things_total").count(), 1, "{text}");
    }

    #[test]
    fn a_bucket_keeps_its_exemplar() {
        let registry = Registry::new();
        let opts = HistogramOpts::new("took_seconds", "Time").buckets(vec![0.25]);
        let took = ExemplarHistogramVec::register(opts, &["route"], &registry).unwrap();
        let trace = SampledTrace::named("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        took.with_label_values(&["/a"]).observe_with(0.125, trace);
        let accept = Some("application/openmetrics-text");
        let text = expose_all(&Registry::new(), &[("orders", registry)], accept).body;
        let bucket = "took_seconds_bucket{job=\"orders\",route=\"/a\",le=\"0.25\"} 1 # {trace_id=\"0af76519";
        assert!(text.contains(bucket), "{text}");
    }
}
