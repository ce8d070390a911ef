//! Gauges that are read when metrics are collected.

use std::fmt;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};

/// A gauge and where its value is.
struct Read {
    gauge: IntGauge,
    value: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").finish_non_exhaustive()
    }
}

impl Collector for Read {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(i64::try_from((self.value)()).unwrap_or(i64::MAX));
        self.gauge.collect()
    }
}

/// Registers a gauge that reads its value from `value`.
///
/// # Errors
/// If the registry has the gauge already.
pub fn register(
    registry: &Registry,
    name: &str,
    help: &str,
    value: impl Fn() -> u64 + Send + Sync + 'static,
) -> Result<(), prometheus::Error> {
    registry.register(Box::new(Read { gauge: IntGauge::new(name, help)?, value: Box::new(value) }))
}
