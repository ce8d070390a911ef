//! The queue between ended spans and the collector.
//!
//! Guarantees: ending a span never waits; the queue is bounded, and further spans are dropped and counted; a batch that
//! the collector doesn't accept is dropped and counted, not retried. Span attributes and texts are scrubbed here, outside
//! the work that the span describes.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry::trace::Status;
use opentelemetry::{Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use prometheus::IntCounter;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::ExportMetrics;
use crate::redact::{scrub, scrub_value};

/// Sizes and times, by the standard `OTEL_BSP_*` variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Maximum number of queued spans.
    pub queue: usize,
    /// Maximum number of spans per export.
    pub batch: usize,
    /// How long a span waits for others.
    pub delay: Duration,
    /// Timeout of an export.
    pub timeout: Duration,
}

impl Limits {
    /// Reads the variables; invalid numbers are ignored.
    pub(super) fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str, default: u64| {
            variable(name).and_then(|text| text.trim().parse().ok()).filter(|number| *number > 0).unwrap_or(default)
        };
        let count = |name: &str, default: u64| usize::try_from(number(name, default)).unwrap_or(usize::MAX);
        let queue = count("OTEL_BSP_MAX_QUEUE_SIZE", 8_192).min(1 << 20);
        Self {
            queue,
            batch: count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512).min(queue),
            delay: Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", 1_000)),
            timeout: Duration::from_millis(number("OTEL_BSP_EXPORT_TIMEOUT", 10_000)),
        }
    }
}

/// Queues spans of one owner as they end.
#[derive(Debug)]
pub(super) struct Queue {
    owner: usize,
    spans: mpsc::Sender<Ended>,
    dropped: IntCounter,
}

/// A span that has ended.
#[derive(Debug)]
struct Ended {
    /// Whose span it is: the number of its resource.
    owner: usize,
    span: SpanData,
}

/// The task that exports them.
pub(super) struct Sender {
    task: JoinHandle<()>,
    /// The deadline to finish by, once it has to stop.
    stop: watch::Sender<Option<Instant>>,
}

impl Queue {
    /// Starts the task. `resources` are those of the owners of spans; the first is the owner of this queue.
    pub(super) fn start<E: SpanExporter + 'static>(
        mut exporter: E,
        resources: Vec<Resource>,
        limits: Limits,
        metrics: &ExportMetrics,
        runtime: &Handle,
    ) -> (Self, Sender) {
        let (spans, waiting) = mpsc::channel(limits.queue);
        let (stop, stopped) = watch::channel(None);
        let dropped = metrics.dropped.with_label_values(&["traces"]);
        let failures = metrics.failures.with_label_values(&["traces"]);
        if let Some(first) = resources.first() {
            exporter.set_resource(first);
        }
        let sent_as = 0;
        let export =
            Exporter { exporter, resources, sent_as, limits, waiting, stopped, dropped: dropped.clone(), failures };
        (Self { owner: 0, spans, dropped }, Sender { task: runtime.spawn(export.run()), stop })
    }

    /// The same queue, for the spans of another owner.
    pub(super) fn of(&self, owner: usize) -> Self {
        Self { owner, spans: self.spans.clone(), dropped: self.dropped.clone() }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let sampled = span.span_context.is_sampled();
        if sampled && self.spans.try_send(Ended { owner: self.owner, span }).is_err() {
            self.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Sender {
    /// Sends queued spans for at most `max_wait`.
    pub(super) async fn stop(self, max_wait: Duration) {
        let end = Instant::now() + max_wait;
        self.stop.send_replace(Some(end));
        // The task keeps the deadline itself; this wait only guards against a task that doesn't.
        let _ = timeout(max_wait + Duration::from_millis(100), self.task).await;
    }
}

struct Exporter<E> {
    exporter: E,
    resources: Vec<Resource>,
    /// The owner whose resource the exporter sends at the moment.
    sent_as: usize,
    limits: Limits,
    waiting: mpsc::Receiver<Ended>,
    stopped: watch::Receiver<Option<Instant>>,
    dropped: IntCounter,
    failures: IntCounter,
}

impl<E: SpanExporter> Exporter<E> {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(self.limits.batch);
        while self.gather(&mut batch).await {
            let taken = std::mem::replace(&mut batch, Vec::with_capacity(self.limits.batch));
            for (owner, spans) in by_owner(taken) {
                self.send(owner, spans).await;
            }
        }
    }

    /// Waits until a batch is full or its first span has waited for the delay. Returns false when there is nothing left.
    async fn gather(&mut self, batch: &mut Vec<Ended>) -> bool {
        let mut due = None;
        while batch.len() < self.limits.batch {
            let room = self.limits.batch - batch.len();
            let stopping = self.stopped.borrow().is_some();
            if stopping {
                self.waiting.close();
                if self.waiting.recv_many(batch, room).await == 0 {
                    break;
                }
                continue;
            }
            let end = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
            tokio::select! {
                taken = timeout_at(end, self.waiting.recv_many(batch, room)) => match taken {
                    Ok(0) => break,
                    Ok(_) => due = due.or_else(|| Some(Instant::now() + self.limits.delay)),
                    Err(_) if batch.is_empty() => {}
                    Err(_) => break,
                },
                // The sender was dropped without a stop, so the process is about to end.
                changed = self.stopped.changed() => if changed.is_err() { return false },
            }
        }
        !batch.is_empty()
    }

    /// Exports a batch, or drops it at the timeout or the deadline.
    async fn send(&mut self, owner: usize, mut batch: Vec<SpanData>) {
        if owner != self.sent_as
            && let Some(resource) = self.resources.get(owner)
        {
            self.exporter.set_resource(resource);
            self.sent_as = owner;
        }
        let spans = batch.len() as u64;
        batch.iter_mut().for_each(clean);
        let export = timeout(self.limits.timeout, self.exporter.export(batch));
        let sent = async { matches!(export.await, Ok(Ok(()))) };
        let late = async {
            match self.stopped.wait_for(Option::is_some).await.map(|end| *end) {
                Ok(Some(end)) => tokio::time::sleep_until(end).await,
                _ => std::future::pending().await,
            }
        };
        let sent = tokio::select! { sent = sent => sent, () = late => false };
        if !sent {
            self.failures.inc();
            self.dropped.inc_by(spans);
        }
    }
}

/// The spans of each owner, in their order.
fn by_owner(batch: Vec<Ended>) -> BTreeMap<usize, Vec<SpanData>> {
    let mut owners: BTreeMap<usize, Vec<SpanData>> = BTreeMap::new();
    for Ended { owner, span } in batch {
        owners.entry(owner).or_default().push(span);
    }
    owners
}

/// Masks secrets.
fn clean(span: &mut SpanData) {
    if let std::borrow::Cow::Owned(name) = scrub(&span.name) {
        span.name = name.into();
    }
    span.attributes.iter_mut().for_each(clean_value);
    for event in &mut span.events.events {
        if let std::borrow::Cow::Owned(name) = scrub(&event.name) {
            event.name = name.into();
        }
        event.attributes.iter_mut().for_each(clean_value);
    }
    if let Status::Error { description } = &mut span.status
        && let std::borrow::Cow::Owned(text) = scrub(description)
    {
        *description = text.into();
    }
}

fn clean_value(pair: &mut KeyValue) {
    if let Value::String(text) = &pair.value
        && let std::borrow::Cow::Owned(clean) = scrub_value(pair.key.as_str(), text.as_str())
    {
        pair.value = Value::String(StringValue::from(clean));
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
