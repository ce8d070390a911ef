//! Metrics of a cache.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The counters of one cache, looked up once.
pub(crate) struct CacheMetrics {
    pub(crate) hit: IntCounter,
    pub(crate) miss: IntCounter,
    pub(crate) error: IntCounter,
    pub(crate) write_ok: IntCounter,
    pub(crate) write_error: IntCounter,
}

impl CacheMetrics {
    /// Registers the metrics of the cache `name`. A second cache of the same name on one registry counts separately, and
    /// its metrics aren't exported.
    pub(crate) fn register(name: &'static str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |metric: &str, help: &str| {
            IntCounterVec::new(Opts::new(metric, help).const_label("cache", name), &["outcome"])
        };
        let requests = counter("flotilla_cache_requests_total", "Cache reads, by outcome.")?;
        let writes = counter("flotilla_cache_writes_total", "Cache writes and deletions, by outcome.")?;
        register_once(registry, requests.clone())?;
        register_once(registry, writes.clone())?;
        Ok(Self {
            hit: requests.with_label_values(&["hit"]),
            miss: requests.with_label_values(&["miss"]),
            error: requests.with_label_values(&["error"]),
            write_ok: writes.with_label_values(&["ok"]),
            write_error: writes.with_label_values(&["error"]),
        })
    }
}

/// Registers a gauge of whether the cache is connected, read at each scrape.
pub(crate) fn register_up(
    name: &'static str,
    registry: &Registry,
    is_up: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<(), prometheus::Error> {
    let gauge = IntGauge::with_opts(
        Opts::new("flotilla_cache_up", "Whether the cache is connected and responds.").const_label("cache", name),
    )?;
    register_once(registry, Up { gauge, is_up })
}

fn register_once(registry: &Registry, collector: impl Collector + 'static) -> Result<(), prometheus::Error> {
    match registry.register(Box::new(collector)) {
        Err(prometheus::Error::AlreadyReg) => Ok(()),
        result => result,
    }
}

struct Up<F> {
    gauge: IntGauge,
    is_up: F,
}

impl<F: Fn() -> bool + Send + Sync> Collector for Up<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(i64::from((self.is_up)()));
        self.gauge.collect()
    }
}
