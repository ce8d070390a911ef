//! The exporter of log records as the queue uses it: counts what leaves the queue, and sends the records of each service
//! with the service's resource.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLogRecord};
use prometheus::IntCounter;
use tokio::sync::Mutex;

/// Counts the records that leave the queue, and the batches that the collector didn't accept.
pub(super) struct Counted<E> {
    /// Only one batch is exported at a time: the exporter has one resource.
    inner: Mutex<E>,
    /// The process's resource.
    process: Resource,
    /// Those of its services, if it runs several. A record's service is the name of its scope.
    services: Vec<(&'static str, Resource)>,
    waiting: Arc<AtomicUsize>,
    failures: IntCounter,
}

/// Records with their scopes, as a batch contains them.
type Records<'a> = Vec<(&'a SdkLogRecord, &'a InstrumentationScope)>;

impl<E> Counted<E> {
    pub(super) fn new(
        inner: E,
        services: Vec<(&'static str, Resource)>,
        waiting: Arc<AtomicUsize>,
        failures: IntCounter,
    ) -> Self {
        let process = Resource::builder_empty().build();
        Self { inner: Mutex::new(inner), process, services, waiting, failures }
    }
}

impl<E> fmt::Debug for Counted<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

impl<E: LogExporter> Counted<E> {
    /// Sends the records of each service with the service's resource, then all others with the process's.
    async fn export_by_service(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let mut inner = self.inner.lock().await;
        let mut rest: Records<'_> = batch.iter().collect();
        let mut outcome = Ok(());
        for (name, resource) in &self.services {
            let (own, others) = rest.into_iter().partition(|(_, scope)| scope.name() == *name);
            rest = others;
            outcome = outcome.and(send(&mut *inner, resource, own).await);
        }
        outcome.and(send(&mut *inner, &self.process, rest).await)
    }
}

async fn send<E: LogExporter>(exporter: &mut E, resource: &Resource, records: Records<'_>) -> OTelSdkResult {
    if records.is_empty() {
        return Ok(());
    }
    exporter.set_resource(resource);
    exporter.export(LogBatch::new(&records)).await
}

impl<E: LogExporter> LogExporter for Counted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let records = batch.iter().count();
        let done = if self.services.is_empty() {
            self.inner.lock().await.export(batch).await
        } else {
            self.export_by_service(batch).await
        };
        self.waiting.fetch_sub(records, Ordering::Relaxed);
        if done.is_err() {
            self.failures.inc();
        }
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        // The queue's thread calls this, and exports nothing at the same time.
        self.inner.try_lock().map_or(Ok(()), |inner| inner.shutdown_with_timeout(timeout))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.process = resource.clone();
        self.inner.get_mut().set_resource(resource);
    }
}
