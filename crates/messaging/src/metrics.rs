//! The metrics of a service's messaging, all labelled with the service.

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// The metrics.
#[derive(Clone)]
pub struct Metrics {
    /// Events published by the relay.
    pub published: IntCounter,
    /// Frames published by the relay.
    pub frames: IntCounter,
    /// Age of the oldest unpublished outbox row, in seconds.
    pub outbox_age: Gauge,
    /// Unpublished outbox rows, counted up to ten thousand.
    pub outbox_pending: IntGauge,
    /// Number of times that a lost stream was refilled.
    pub rebuilds: IntCounter,
    /// Whether the stream refuses messages although the broker answers.
    pub stream_refuses: IntGauge,
    /// Whether such a stream can't be recreated because it holds messages that the outbox no longer has.
    pub reset_blocked: IntGauge,
    /// Number of times such a stream was recreated.
    pub resets: IntCounter,
    /// Messages that a consumer lost because neither stream nor outbox has them any more, by consumer, until an
    /// operator deletes the record.
    pub lost: IntGaugeVec,
    /// Whether this process holds the relay's lease.
    pub leader: IntGauge,
    /// Events by consumer and outcome: applied, repeated, parked, dead.
    pub events: IntCounterVec,
    /// Events in a consumer's transaction.
    pub batch: HistogramVec,
    /// Seconds from an event's time until it is applied, for the last event of a batch.
    pub lag: HistogramVec,
    /// Messages delivered more than once, by consumer.
    pub redeliveries: IntCounterVec,
    /// Batches retried as a whole, by consumer.
    pub retries: IntCounterVec,
    /// A consumer's backlog at the broker: undelivered and unacked messages, over all replicas.
    pub pending: IntGaugeVec,
    /// Messages that became dead letters, by consumer; each counted once.
    pub dead_letters: IntCounterVec,
    /// Parked messages by state.
    pub parked: IntGaugeVec,
    /// Seconds until a published batch of messages was acked.
    pub publish: Histogram,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// If the registry already has them for this service.
    pub fn new(service: &str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).const_label("service", service);
        let histogram = |name: &str, help: &str, buckets: &[f64]| HistogramOpts {
            common_opts: opts(name, help),
            buckets: buckets.to_vec(),
        };
        let sizes = [1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];
        let seconds = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
        let metrics = Self {
            published: IntCounter::with_opts(opts("flotilla_relay_published_total", "Events published by the relay"))?,
            frames: IntCounter::with_opts(opts("flotilla_relay_frames_total", "Frames published by the relay"))?,
            outbox_age: Gauge::with_opts(opts(
                "flotilla_outbox_age_seconds",
                "Age of the oldest unpublished outbox row",
            ))?,
            outbox_pending: IntGauge::with_opts(opts(
                "flotilla_outbox_pending",
                "Unpublished outbox rows, counted up to ten thousand",
            ))?,
            rebuilds: IntCounter::with_opts(opts(
                "flotilla_stream_rebuilds_total",
                "Number of times that a lost stream was refilled",
            ))?,
            stream_refuses: IntGauge::with_opts(opts(
                "flotilla_stream_refuses_messages",
                "1 while the stream stores no messages although the broker responds",
            ))?,
            reset_blocked: IntGauge::with_opts(opts(
                "flotilla_stream_reset_blocked",
                "1 while a stream that refuses messages can't be recreated without losing some",
            ))?,
            resets: IntCounter::with_opts(opts(
                "flotilla_stream_resets_total",
                "Number of times that a stream that refused messages was recreated",
            ))?,
            lost: IntGaugeVec::new(
                opts(
                    "flotilla_consumer_lost_frames",
                    "Messages that a consumer had not acked and that neither the stream nor the outbox has any more",
                ),
                &["consumer"],
            )?,
            leader: IntGauge::with_opts(opts("flotilla_relay_leader", "1 while this process holds the relay's lease"))?,
            events: IntCounterVec::new(
                opts("flotilla_consumer_events_total", "Events by consumer and outcome"),
                &["consumer", "outcome"],
            )?,
            batch: HistogramVec::new(
                histogram("flotilla_consumer_batch_events", "Events per transaction of a consumer", &sizes),
                &["consumer"],
            )?,
            lag: HistogramVec::new(
                histogram(
                    "flotilla_consumer_lag_seconds",
                    "Time from an event's creation until it is applied",
                    &seconds,
                ),
                &["consumer"],
            )?,
            redeliveries: IntCounterVec::new(
                opts("flotilla_consumer_redeliveries_total", "Messages delivered more than once"),
                &["consumer"],
            )?,
            retries: IntCounterVec::new(
                opts("flotilla_consumer_retries_total", "Batches retried as a whole"),
                &["consumer"],
            )?,
            pending: IntGaugeVec::new(
                opts(
                    "flotilla_consumer_pending",
                    "Messages in the stream that a consumer has not acked, over all replicas",
                ),
                &["consumer"],
            )?,
            dead_letters: IntCounterVec::new(
                opts("flotilla_dead_letters_total", "Messages that became dead letters"),
                &["consumer"],
            )?,
            parked: IntGaugeVec::new(opts("flotilla_parked_messages", "Parked messages by state"), &["state"])?,
            publish: Histogram::with_opts(histogram(
                "flotilla_relay_publish_seconds",
                "Time until a batch of messages was acked",
                &seconds,
            ))?,
        };
        metrics.register(registry)?;
        Ok(metrics)
    }

    /// Initializes a consumer's counters to zero, so that the first dead letter shows as an increase and not as a new
    /// series.
    pub fn begin(&self, consumer: &str) {
        for outcome in ["applied", "repeated", "parked", "dead"] {
            self.events.with_label_values(&[consumer, outcome]);
        }
        for counter in [&self.redeliveries, &self.retries, &self.dead_letters] {
            counter.with_label_values(&[consumer]);
        }
    }

    fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.published.clone()))?;
        registry.register(Box::new(self.frames.clone()))?;
        registry.register(Box::new(self.outbox_age.clone()))?;
        registry.register(Box::new(self.outbox_pending.clone()))?;
        registry.register(Box::new(self.rebuilds.clone()))?;
        registry.register(Box::new(self.stream_refuses.clone()))?;
        registry.register(Box::new(self.reset_blocked.clone()))?;
        registry.register(Box::new(self.resets.clone()))?;
        registry.register(Box::new(self.lost.clone()))?;
        registry.register(Box::new(self.leader.clone()))?;
        registry.register(Box::new(self.events.clone()))?;
        registry.register(Box::new(self.batch.clone()))?;
        registry.register(Box::new(self.lag.clone()))?;
        registry.register(Box::new(self.redeliveries.clone()))?;
        registry.register(Box::new(self.retries.clone()))?;
        registry.register(Box::new(self.pending.clone()))?;
        registry.register(Box::new(self.dead_letters.clone()))?;
        registry.register(Box::new(self.parked.clone()))?;
        registry.register(Box::new(self.publish.clone()))
    }
}
