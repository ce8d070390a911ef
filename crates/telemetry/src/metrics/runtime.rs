//! Metrics of the async runtime, read at each scrape. They show whether its workers have time left.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};
use tokio::runtime::Handle;

/// Name, type and help of each metric.
const METRICS: [(&str, MetricType, &str); 5] = [
    ("flotilla_runtime_workers", MetricType::GAUGE, "Worker threads of the async runtime"),
    ("flotilla_runtime_tasks", MetricType::GAUGE, "Live tasks"),
    ("flotilla_runtime_queue_depth", MetricType::GAUGE, "Ready tasks that wait in the global queue"),
    (
        "flotilla_runtime_busy_seconds_total",
        MetricType::COUNTER,
        "Time that workers were busy, summed over all workers",
    ),
    ("flotilla_runtime_parks_total", MetricType::COUNTER, "Times that a worker became idle"),
];

/// The metrics of one runtime.
pub(super) struct RuntimeCollector {
    runtime: Handle,
    descs: Vec<Desc>,
}

impl RuntimeCollector {
    pub fn new(runtime: Handle) -> Result<Self, prometheus::Error> {
        let desc = |(name, _, help): (&str, MetricType, &str)| {
            Desc::new(name.to_owned(), help.to_owned(), Vec::new(), HashMap::new())
        };
        Ok(Self { runtime, descs: METRICS.into_iter().map(desc).collect::<Result<_, _>>()? })
    }

    /// The values in the order of [`METRICS`].
    fn values(&self) -> [f64; METRICS.len()] {
        let metrics = self.runtime.metrics();
        let workers = 0..metrics.num_workers();
        let busy: f64 = workers.clone().map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64()).sum();
        let parks: u64 = workers.map(|worker| metrics.worker_park_count(worker)).sum();
        [
            metrics.num_workers() as f64,
            metrics.num_alive_tasks() as f64,
            metrics.global_queue_depth() as f64,
            busy,
            parks as f64,
        ]
    }
}

impl Collector for RuntimeCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        METRICS.into_iter().zip(self.values()).map(|(figure, value)| family(figure, value)).collect()
    }
}

fn family((name, kind, help): (&str, MetricType, &str), value: f64) -> MetricFamily {
    let mut metric = Metric::default();
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_live_task_is_counted() {
        let collector = RuntimeCollector::new(Handle::current()).unwrap();
        let [workers, before, ..] = collector.values();
        assert_eq!(workers, 2.0);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let waiting = tokio::spawn(ended);
        assert_eq!(collector.values()[1], before + 1.0);
        end.send(()).unwrap();
        waiting.await.unwrap().unwrap();
        assert_eq!(collector.collect().len(), METRICS.len());
    }
}
