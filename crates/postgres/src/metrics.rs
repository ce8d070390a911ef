//! Metrics of a pool: connections, waiting callers, and the duration of transactions.

use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntGauge, Opts, Registry};

use crate::error::Error;
use crate::sessions::SessionPool;

/// From a quarter of a millisecond to ten seconds.
const SECONDS: [f64; 14] = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How a transaction ended.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Commit,
    Rollback,
    Dropped,
    Failed,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Rollback => "rollback",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

/// The histograms of one pool.
#[derive(Clone)]
pub(crate) struct PoolMetrics {
    transactions: HistogramVec,
    acquire: HistogramVec,
}

impl PoolMetrics {
    /// Registers the metrics of the pool `name`. A second pool of the same name in the same registry keeps its own
    /// metrics, which aren't exported.
    pub(crate) fn register(
        name: &'static str,
        pool: SessionPool,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let histogram = |metric: &str, help: &str, labels: &[&str]| {
            HistogramVec::new(
                HistogramOpts::new(metric, help).const_label("pool", name).buckets(SECONDS.to_vec()),
                labels,
            )
        };
        let metrics = Self {
            transactions: histogram(
                "flotilla_postgres_transaction_seconds",
                "Time from the beginning of a transaction to its end.",
                &["end"],
            )?,
            acquire: histogram(
                "flotilla_postgres_acquire_seconds",
                "Time that callers waited for a connection.",
                &["outcome"],
            )?,
        };
        register_once(registry, metrics.transactions.clone())?;
        register_once(registry, metrics.acquire.clone())?;
        register_once(registry, PoolSize::new(name, pool)?)?;
        Ok(metrics)
    }

    pub(crate) fn transaction(&self, end: End, lasted: Duration) {
        self.transactions.with_label_values(&[end.as_str()]).observe(lasted.as_secs_f64());
    }

    pub(crate) fn acquired<T>(&self, result: &Result<T, Error>, waited: Duration) {
        let outcome = if result.is_ok() { "ok" } else { "failed" };
        self.acquire.with_label_values(&[outcome]).observe(waited.as_secs_f64());
    }
}

fn register_once(registry: &Registry, collector: impl Collector + 'static) -> Result<(), prometheus::Error> {
    match registry.register(Box::new(collector)) {
        Err(prometheus::Error::AlreadyReg) => Ok(()),
        result => result,
    }
}

/// Reads the pool's state only when metrics are collected.
struct PoolSize {
    pool: SessionPool,
    limit: IntGauge,
    open: IntGauge,
    available: IntGauge,
    waiting: IntGauge,
}

impl PoolSize {
    fn new(name: &'static str, pool: SessionPool) -> Result<Self, prometheus::Error> {
        let gauge = |metric: &str, help: &str| IntGauge::with_opts(Opts::new(metric, help).const_label("pool", name));
        Ok(Self {
            pool,
            limit: gauge("flotilla_postgres_pool_limit", "Maximum number of connections of the pool.")?,
            open: gauge("flotilla_postgres_pool_connections", "Open connections.")?,
            available: gauge("flotilla_postgres_pool_available", "Open connections that are idle.")?,
            waiting: gauge("flotilla_postgres_pool_waiting", "Callers that are waiting for a connection.")?,
        })
    }

    fn gauges(&self) -> [&IntGauge; 4] {
        [&self.limit, &self.open, &self.available, &self.waiting]
    }
}

impl Collector for PoolSize {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let status = self.pool.status();
        let as_gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.limit.set(as_gauge(status.max_size));
        self.open.set(as_gauge(status.size));
        self.available.set(as_gauge(status.available));
        self.waiting.set(as_gauge(status.waiting));
        self.gauges().into_iter().flat_map(Collector::collect).collect()
    }
}
