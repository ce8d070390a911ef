//! The queue with collectors that accept, refuse or never answer.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::{Span as _, SpanKind, Tracer, TracerProvider};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::Registry;

use super::*;

/// A collector that accepts, refuses or never answers.
#[derive(Clone, Debug)]
struct Collector {
    mode: CollectorMode,
    taken: Arc<Mutex<Vec<SpanData>>>,
    asked: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum CollectorMode {
    Accepting,
    Refusing,
    Silent,
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.asked.send_modify(|asked| *asked += 1);
        match self.mode {
            CollectorMode::Accepting => self.taken.lock().unwrap().extend(batch),
            CollectorMode::Refusing => return Err(OTelSdkError::InternalFailure("full".to_owned())),
            CollectorMode::Silent => std::future::pending().await,
        }
        Ok(())
    }
}

struct World {
    provider: SdkTracerProvider,
    collector: Collector,
    sender: Sender,
    metrics: ExportMetrics,
}

fn world(mode: CollectorMode, limits: Limits) -> World {
    let metrics = ExportMetrics::register(&Registry::new()).unwrap();
    let collector = Collector { mode, taken: Arc::default(), asked: watch::Sender::new(0) };
    let (queue, sender) = Queue::start(collector.clone(), Vec::new(), limits, &metrics, &Handle::current());
    let provider = SdkTracerProvider::builder().with_span_processor(queue).build();
    World { provider, collector, sender, metrics }
}

impl World {
    fn end_spans(&self, count: usize) {
        let tracer = self.provider.tracer("test");
        for _ in 0..count {
            tracer.start("span").end();
        }
    }

    fn dropped(&self) -> u64 {
        self.metrics.dropped.with_label_values(&["traces"]).get()
    }

    fn failures(&self) -> u64 {
        self.metrics.failures.with_label_values(&["traces"]).get()
    }
}

const LIMITS: Limits =
    Limits { queue: 100, batch: 10, delay: Duration::from_secs(5), timeout: Duration::from_secs(10) };

#[tokio::test(start_paused = true)]
async fn spans_are_sent_in_batches_and_the_last_ones_at_shutdown() {
    let world = world(CollectorMode::Accepting, LIMITS);
    world.end_spans(25);
    world.collector.asked.subscribe().wait_for(|asked| *asked == 2).await.unwrap();
    assert_eq!(world.collector.taken.lock().unwrap().len(), 20);
    let (taken, metrics) = (Arc::clone(&world.collector.taken), world.metrics.clone());
    world.sender.stop(Duration::from_secs(1)).await;
    assert_eq!(taken.lock().unwrap().len(), 25);
    assert_eq!(metrics.dropped.with_label_values(&["traces"]).get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_span_waits_for_others_no_longer_than_the_delay() {
    let world = world(CollectorMode::Accepting, LIMITS);
    let began = Instant::now();
    world.end_spans(1);
    world.collector.asked.subscribe().wait_for(|asked| *asked == 1).await.unwrap();
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_dropped_and_counted() {
    let world = world(CollectorMode::Refusing, LIMITS);
    world.end_spans(20);
    world.collector.asked.subscribe().wait_for(|asked| *asked == 2).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!((world.dropped(), world.failures()), (20, 2));
}

#[tokio::test(start_paused = true)]
async fn with_a_silent_collector_the_queue_stays_bounded_and_shutdown_ends_at_its_timeout() {
    let world = world(CollectorMode::Silent, LIMITS);
    world.end_spans(10);
    world.collector.asked.subscribe().wait_for(|asked| *asked == 1).await.unwrap();
    // The queue accepts 100 spans while the first batch hangs, and no more.
    world.end_spans(130);
    assert_eq!(world.dropped(), 30);
    let (metrics, began) = (world.metrics.clone(), Instant::now());
    world.sender.stop(Duration::from_secs(1)).await;
    assert!(began.elapsed() <= Duration::from_millis(1_101), "{:?}", began.elapsed());
    assert_eq!(metrics.dropped.with_label_values(&["traces"]).get(), 140, "every span is accounted for");
}

#[tokio::test(start_paused = true)]
async fn secrets_are_masked_before_export() {
    let world = world(CollectorMode::Accepting, LIMITS);
    let card = "4111 1111 1111 1111";
    let mut span = world.provider.tracer("test").build(
        opentelemetry::trace::SpanBuilder::from_name(format!("pay {card}"))
            .with_kind(SpanKind::Internal)
            .with_attributes([KeyValue::new("note", format!("card {card}"))]),
    );
    span.add_event("event", vec![KeyValue::new("to", "jane.doe@example.com")]);
    span.set_status(Status::error("password=hunter2"));
    drop(span);
    let taken = Arc::clone(&world.collector.taken);
    world.sender.stop(Duration::from_secs(1)).await;
    let text = format!("{:?}", taken.lock().unwrap());
    for secret in ["4111", "jane.doe", "hunter2"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn the_standard_variables_set_the_limits() {
    let variable = |name: &str| match name {
        "OTEL_BSP_MAX_QUEUE_SIZE" => Some("64".to_owned()),
        "OTEL_BSP_SCHEDULE_DELAY" => Some("250".to_owned()),
        "OTEL_BSP_EXPORT_TIMEOUT" => Some("soon".to_owned()),
        _ => None,
    };
    let limits = Limits::from_environment(variable);
    assert_eq!((limits.queue, limits.batch), (64, 64));
    assert_eq!((limits.delay, limits.timeout), (Duration::from_millis(250), Duration::from_secs(10)));
}
