//! Consumers: pull messages, remove duplicates, pass the rest to a handler in one transaction, ack.
//!
//! A message is acked when each of its events has been applied or parked, never before the commit. While one
//! transaction runs, the next messages are fetched. If frames are claimed, a frame is applied by one transaction.

pub(crate) mod attempt;
mod batch;
pub(crate) mod trace;

use std::sync::Arc;
use std::time::Duration;

use flotilla_fault::{Fault, Faults};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::batch::{Intake, Item};
use self::trace::Spans;
use crate::broker::{Broker, Delivery, Subscription};
use crate::handler::Handler;
use crate::metrics::Metrics;
use crate::spec::ConsumerSpec;
use crate::store::InboxStore;
use flotilla_clock::Backoff;
use flotilla_clock::Ids;

/// Maximum wait of one pull before the loop checks for shutdown.
const PULL_WAIT: Duration = Duration::from_secs(5);
/// Delay before nak'ed messages are redelivered; by then this process has stopped pulling.
const GIVEN_BACK: Duration = Duration::from_millis(200);
/// The maximum pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What a consumer works with.
pub struct ConsumerParts<S: InboxStore, B> {
    /// The consumer's name, stream and subjects.
    pub spec: ConsumerSpec,
    /// The inbox.
    pub store: S,
    /// The broker.
    pub broker: B,
    /// The service's handler.
    pub handler: Arc<dyn Handler<S::Tx>>,
    /// Time and jitter.
    pub ids: Ids,
    /// Maximum number of messages per pull.
    pub prefetch: usize,
    /// How long the broker waits for an ack.
    pub ack_wait: Duration,
    /// How far back the inbox remembers.
    pub horizon: Duration,
    /// Counters.
    pub metrics: Metrics,
}

/// One durable consumer.
pub struct Consumer<S: InboxStore, B> {
    parts: ConsumerParts<S, B>,
    faults: Faults,
}

impl<S: InboxStore, B: Broker> Consumer<S, B> {
    /// Creates a consumer from its parts.
    pub fn new(parts: ConsumerParts<S, B>) -> Self {
        parts.metrics.begin(parts.spec.name);
        Self { parts, faults: Faults::forbidden() }
    }

    /// Applies injected faults: the current batch may be held.
    #[must_use]
    pub fn with_faults(self, faults: &Faults) -> Self {
        faults.declare(&[Fault::StuckConsumer]);
        Self { faults: faults.clone(), ..self }
    }

    /// Runs until `shutdown`; then finishes and acks the current batch, and naks messages that were fetched but not
    /// begun.
    pub async fn run(self, shutdown: CancellationToken) {
        let random = self.parts.ids.random();
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_PAUSE);
        let mut complained = false;
        while !shutdown.is_cancelled() {
            let consumer = self.parts.spec.name;
            match self.parts.broker.subscribe(&self.parts.spec).await {
                Ok(mut subscription) => {
                    complained = false;
                    backoff.reset();
                    self.read(&mut subscription, &shutdown).await;
                }
                // Its producer may not have created the stream yet, or the broker is unavailable: warned about once.
                Err(error) if !complained => {
                    complained = true;
                    warn!(consumer, error = %error, "consumer waits for its stream");
                }
                Err(error) => debug!(consumer, error = %error, "consumer waits for its stream"),
            }
            backoff.wait(random.as_ref(), &shutdown).await;
        }
    }

    /// Reads until `shutdown` or until the subscription ends.
    async fn read(&self, subscription: &mut B::Subscription, shutdown: &CancellationToken) {
        loop {
            let pull = subscription.next(self.parts.prefetch, PULL_WAIT);
            match shutdown.run_until_cancelled(pull).await {
                None => return self.give_back(subscription).await,
                Some(Ok(messages)) if messages.is_empty() => {}
                Some(Ok(messages)) => self.work(&messages, shutdown).await,
                Some(Err(error)) => {
                    debug!(consumer = self.parts.spec.name, error = %error, "subscription ended");
                    return;
                }
            }
        }
    }

    /// Naks messages that were fetched but not begun, so that another replica gets them at once and not after the ack
    /// wait.
    async fn give_back(&self, subscription: &mut B::Subscription) {
        // Only one pull: nak'ed messages could be redelivered to this process.
        if let Ok(messages) = subscription.next(self.parts.prefetch * 2, Duration::from_millis(1)).await {
            nak(&messages).await;
        }
    }

    /// Applies messages in transactions of at most `max_events`, and acks each when its last event is done.
    async fn work<D: Delivery>(&self, messages: &[D], shutdown: &CancellationToken) {
        let consumer = self.parts.spec.name;
        let redelivered = messages.iter().filter(|message| message.redelivered()).count() as u64;
        if redelivered > 0 {
            self.parts.metrics.redeliveries.with_label_values(&[consumer]).inc_by(redelivered);
        }
        let mut intake = Intake::default();
        let mut done = 0;
        for (index, message) in messages.iter().enumerate() {
            let items = batch::decode(message, self.parts.handler.claims());
            if !intake.is_empty() && intake.len() + items.len() > self.parts.spec.max_events {
                if !self.apply(intake.take(), &messages[done..], shutdown).await {
                    return nak(&messages[done..]).await;
                }
                ack(&messages[done..index]).await;
                done = index;
            }
            intake.add(items);
        }
        if self.apply(intake.take(), &messages[done..], shutdown).await {
            ack(&messages[done..]).await;
        } else {
            nak(&messages[done..]).await;
        }
    }

    /// Applies the items, in several transactions if a single message holds more than `max_events`; extends the
    /// messages' ack wait meanwhile. False if `shutdown` came first.
    async fn apply<D: Delivery>(&self, mut items: Vec<Item>, messages: &[D], shutdown: &CancellationToken) -> bool {
        let work = async {
            while !items.is_empty() {
                let rest = items.split_off(batch::cut(&items, self.parts.spec.max_events));
                if !self.apply_batch(std::mem::replace(&mut items, rest), shutdown).await {
                    return false;
                }
            }
            true
        };
        tokio::pin!(work);
        let mut alive = tokio::time::interval(self.parts.ack_wait / 3);
        alive.tick().await;
        loop {
            tokio::select! {
                applied = &mut work => return applied,
                _ = alive.tick() => progress(messages).await,
            }
        }
    }

    /// Retries until the batch is applied, however long the database is unavailable; false if `shutdown` came first.
    async fn apply_batch(&self, items: Vec<Item>, shutdown: &CancellationToken) -> bool {
        // Behaves like a handler that hangs: the ack wait is extended, and nothing more is pulled.
        if self.faults.active(Fault::StuckConsumer).is_some() {
            let over = self.faults.until_off(Fault::StuckConsumer);
            if shutdown.run_until_cancelled(over).await.is_none() {
                return false;
            }
        }
        let random = self.parts.ids.random();
        let mut backoff = Backoff::new(Duration::from_millis(10), LONGEST_PAUSE);
        let mut batch =
            batch::Batch::sort(items, self.parts.ids.now(), self.parts.horizon, self.parts.handler.claims());
        let spans = Spans::begin(&self.parts.spec, &mut batch);
        let mut carefully = false;
        loop {
            match spans.batch.within(self.attempt(&batch, &spans, carefully)).await {
                Ok(()) => return true,
                Err(error) if error.is_data() && !carefully => {
                    spans.retried(&error);
                    debug!(consumer = self.parts.spec.name, error = %error, "batch failed because of one message, splitting the batch");
                    carefully = true;
                }
                Err(error) => {
                    spans.retried(&error);
                    warn!(consumer = self.parts.spec.name, error = %error, events = batch.len(), "batch failed, retrying");
                    self.parts.metrics.retries.with_label_values(&[self.parts.spec.name]).inc();
                    if !backoff.wait(random.as_ref(), shutdown).await {
                        return false;
                    }
                }
            }
        }
    }
}

/// A lost ack only causes a redelivery.
async fn ack<D: Delivery>(messages: &[D]) {
    for message in messages {
        if let Err(error) = message.ack().await {
            debug!(error = %error, "ack not sent");
        }
    }
}

async fn nak<D: Delivery>(messages: &[D]) {
    for message in messages {
        if let Err(error) = message.nak(GIVEN_BACK).await {
            debug!(error = %error, "nak not sent");
        }
    }
}

async fn progress<D: Delivery>(messages: &[D]) {
    for message in messages {
        if let Err(error) = message.progress().await {
            debug!(error = %error, "progress not sent");
        }
    }
}
