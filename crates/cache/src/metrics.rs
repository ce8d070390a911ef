//! Metrics of a cache.

use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The metrics of one cache, looked up once.
pub(crate) struct CacheMetrics {
    pub(crate) hit: IntCounter,
    pub(crate) miss: IntCounter,
    pub(crate) error: IntCounter,
    pub(crate) write_ok: IntCounter,
    pub(crate) write_error: IntCounter,
    pub(crate) from_memory: IntCounter,
    pub(crate) from_redis: IntCounter,
    pub(crate) from_another_reader: IntCounter,
    pub(crate) stale: IntCounter,
    pub(crate) load_stored: IntCounter,
    pub(crate) load_outdated: IntCounter,
    pub(crate) load_failed: IntCounter,
    pub(crate) load_seconds: Histogram,
    pub(crate) evictions: IntCounter,
    pub(crate) invalidated_here: IntCounter,
    pub(crate) invalidated_elsewhere: IntCounter,
    pub(crate) flushes: IntCounter,
}

const LOAD_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl CacheMetrics {
    /// Registers the metrics of the cache `name`. A second cache of the same name on one registry counts separately, and
    /// its metrics aren't exported.
    pub(crate) fn register(name: &'static str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |metric: &str, help: &str, label: &str| {
            let counters = IntCounterVec::new(Opts::new(metric, help).const_label("cache", name), &[label])?;
            register_once(registry, counters.clone())?;
            Ok::<_, prometheus::Error>(counters)
        };
        let counter = |metric: &str, help: &str| {
            let counter = IntCounter::with_opts(Opts::new(metric, help).const_label("cache", name))?;
            register_once(registry, counter.clone())?;
            Ok::<_, prometheus::Error>(counter)
        };
        let requests = counters("flotilla_cache_requests_total", "Cache reads, by outcome.", "outcome")?;
        let writes = counters("flotilla_cache_writes_total", "Cache writes and deletions, by outcome.", "outcome")?;
        let hits = counters(
            "flotilla_cache_hits_total",
            "Cache hits, by source: memory, redis, or the load of another reader.",
            "source",
        )?;
        let loads = counters(
            "flotilla_cache_loads_total",
            "Loads, by outcome: stored, outdated (not cached because it changed meanwhile) or failed.",
            "outcome",
        )?;
        let invalidations = counters(
            "flotilla_cache_invalidations_total",
            "Invalidated keys, by origin: here or elsewhere.",
            "origin",
        )?;
        let load_seconds = Histogram::with_opts(
            HistogramOpts::new("flotilla_cache_load_seconds", "Time of loading an entry.")
                .const_label("cache", name)
                .buckets(LOAD_BUCKETS.to_vec()),
        )?;
        register_once(registry, load_seconds.clone())?;
        Ok(Self {
            hit: requests.with_label_values(&["hit"]),
            miss: requests.with_label_values(&["miss"]),
            error: requests.with_label_values(&["error"]),
            write_ok: writes.with_label_values(&["ok"]),
            write_error: writes.with_label_values(&["error"]),
            from_memory: hits.with_label_values(&["memory"]),
            from_redis: hits.with_label_values(&["redis"]),
            from_another_reader: hits.with_label_values(&["reader"]),
            stale: counter("flotilla_cache_stale_served_total", "Stale entries served because loading failed.")?,
            load_stored: loads.with_label_values(&["stored"]),
            load_outdated: loads.with_label_values(&["outdated"]),
            load_failed: loads.with_label_values(&["failed"]),
            load_seconds,
            evictions: counter("flotilla_cache_evictions_total", "Entries removed from memory for lack of room.")?,
            invalidated_here: invalidations.with_label_values(&["here"]),
            invalidated_elsewhere: invalidations.with_label_values(&["elsewhere"]),
            flushes: counter(
                "flotilla_cache_flushes_total",
                "How often the memory was emptied because invalidations may have been lost.",
            )?,
        })
    }

    /// The same, on a registry of its own if that one refuses them.
    pub(crate) fn register_or_count_separately(name: &'static str, registry: &Registry) -> Self {
        Self::register(name, registry)
            .or_else(|error| {
                tracing::error!(cache = name, error = %error, "cache metrics not registered");
                Self::register(name, &Registry::new())
            })
            .expect("the names of the metrics are valid, and a new registry has none yet")
    }

    pub(crate) fn wrote(&self, done: bool) {
        if done { self.write_ok.inc() } else { self.write_error.inc() }
    }

    pub(crate) fn loaded(&self, time: Duration) {
        self.load_seconds.observe(time.as_secs_f64());
    }
}

/// Registers gauges that are read at each scrape: whether Redis is connected, and the weight of the entries in memory.
pub(crate) fn register_gauges(
    name: &'static str,
    registry: &Registry,
    is_up: impl Fn() -> bool + Send + Sync + 'static,
    weight: impl Fn() -> u64 + Send + Sync + 'static,
) {
    let up = move || i64::from(is_up());
    let weight = move || i64::try_from(weight()).unwrap_or(i64::MAX);
    let gauges = [
        gauge(name, registry, "flotilla_cache_up", "Whether the cache is connected and responds.", up),
        gauge(name, registry, "flotilla_cache_memory_bytes", "Weight of the entries in memory, in bytes.", weight),
    ];
    for error in gauges.into_iter().filter_map(Result::err) {
        tracing::error!(cache = name, error = %error, "cache metrics not registered");
    }
}

fn gauge(
    name: &'static str,
    registry: &Registry,
    metric: &str,
    help: &str,
    read: impl Fn() -> i64 + Send + Sync + 'static,
) -> Result<(), prometheus::Error> {
    let gauge = IntGauge::with_opts(Opts::new(metric, help).const_label("cache", name))?;
    register_once(registry, ReadGauge { gauge, read })
}

fn register_once(registry: &Registry, collector: impl Collector + 'static) -> Result<(), prometheus::Error> {
    match registry.register(Box::new(collector)) {
        Err(prometheus::Error::AlreadyReg) => Ok(()),
        result => result,
    }
}

struct ReadGauge<F> {
    gauge: IntGauge,
    read: F,
}

impl<F: Fn() -> i64 + Send + Sync> Collector for ReadGauge<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set((self.read)());
        self.gauge.collect()
    }
}
