//! Retries parked messages, one at a time, each in its own transaction, with growing waits; after the last attempt they
//! become dead letters.
//!
//! The frame of a parked message, or the message itself, keeps its inbox row, so a redelivery of it changes nothing. A
//! retry that succeeds removes the parked row in the transaction of its effects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_telemetry::Span;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::consumer::attempt::{Failure, collect, decide};
use crate::consumer::trace::process;
use crate::handler::{Handler, Outcome};
use crate::metrics::Metrics;
use crate::settings::ParkedSettings;
use crate::store::{DueMessage, Effects, InboxStore, ParkedStore, Verdict};
use flotilla_clock::Backoff;
use flotilla_clock::{Random, unit};

/// Maximum number of attempts in one round; the rest waits for the next.
const ROUND: usize = 64;
/// The outcome of a message that isn't retried any more.
const DEAD: &str = "dead";
/// The outcome of a successful retry.
const APPLIED: &str = "applied";
/// The maximum wait between attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// A handler shared by a consumer and its retries.
pub type SharedHandler<S> = Arc<dyn Handler<<S as InboxStore>::Tx>>;

/// The outcome of an attempt, and the reason.
type Attempted = (&'static str, String);

/// Messages of a round by consumer and outcome: each gets one log line, however many messages there were.
#[derive(Default)]
struct Ended(BTreeMap<(&'static str, &'static str), (u64, Uuid, String, String)>);

impl Ended {
    fn note(&mut self, message: &DueMessage, outcome: &'static str, reason: String) {
        let first = || (0, message.event.id, message.event.kind.clone(), reason);
        self.0.entry((message.consumer, outcome)).or_insert_with(first).0 += 1;
    }

    fn log(&self) {
        for ((consumer, outcome), (messages, first, kind, reason)) in &self.0 {
            match *outcome {
                APPLIED => info!(consumer, messages, first_message_id = %first, "parked messages applied"),
                DEAD => {
                    warn!(consumer, messages, first_message_id = %first, kind, reason, "parked messages are dead letters now");
                }
                _ => {
                    debug!(consumer, messages, first_message_id = %first, kind, reason, "parked messages failed again");
                }
            }
        }
    }
}

/// A service's retries.
pub struct ParkedRetry<S: ParkedStore> {
    store: S,
    names: Vec<&'static str>,
    handlers: Vec<SharedHandler<S>>,
    settings: ParkedSettings,
    random: Arc<dyn Random>,
    metrics: Metrics,
}

impl<S: ParkedStore> ParkedRetry<S> {
    /// Creates the retries for these consumers.
    pub fn new(
        store: S,
        consumers: Vec<(&'static str, SharedHandler<S>)>,
        settings: ParkedSettings,
        random: Arc<dyn Random>,
        metrics: Metrics,
    ) -> Self {
        let (names, handlers) = consumers.into_iter().unzip();
        Self { store, names, handlers, settings, random, metrics }
    }

    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        if self.names.is_empty() {
            return shutdown.cancelled().await;
        }
        let mut backoff = Backoff::new(self.settings.poll.0, Duration::from_secs(10));
        while shutdown.run_until_cancelled(tokio::time::sleep(self.settings.poll.0)).await.is_some() {
            match self.round(&shutdown).await {
                Ok(_) => backoff.reset(),
                Err(error) => {
                    warn!(error = %error, "retries of parked messages are paused");
                    backoff.wait(self.random.as_ref(), &shutdown).await;
                }
            }
        }
    }

    /// Retries the messages that are due; returns the number of attempts.
    ///
    /// # Errors
    /// A failure that no message caused; it counts as no message's attempt.
    pub(crate) async fn round(&self, shutdown: &CancellationToken) -> Result<usize, Failure> {
        let mut ended = Ended::default();
        let mut attempts = 0;
        let mut result = Ok(true);
        while attempts < ROUND && !shutdown.is_cancelled() {
            result = self.attempt(&mut ended).await;
            if !matches!(result, Ok(true)) {
                break;
            }
            attempts += 1;
        }
        ended.log();
        result.map(|_| attempts)
    }

    /// Retries one message; false if none is due.
    async fn attempt(&self, ended: &mut Ended) -> Result<bool, Failure> {
        let mut tx = self.store.begin().await?;
        let Some(mut message) = self.store.due(&mut tx, &self.names).await? else {
            self.store.commit(tx).await?;
            return Ok(false);
        };
        let span = process(&message.event, message.consumer, &Span::none());
        span.set("flotilla.attempt", i64::from(message.attempts) + 1);
        if let Some(own) = span.traceparent() {
            message.event.traceparent = Some(own);
        }
        match span.within(self.apply(&mut tx, &message)).await {
            Ok((outcome, reason)) => {
                if outcome != APPLIED {
                    span.fail(outcome, "parked again");
                }
                self.store.commit(tx).await?;
                self.count(&message, outcome);
                ended.note(&message, outcome, reason);
            }
            Err(error) if error.is_data() => {
                span.error("data", &error);
                drop(tx);
                let mut tx = self.store.begin().await?;
                let (outcome, reason) = self.fail(&mut tx, &message, error.to_string()).await?;
                self.store.commit(tx).await?;
                self.count(&message, outcome);
                ended.note(&message, outcome, reason);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    async fn apply(&self, tx: &mut S::Tx, message: &DueMessage) -> Result<Attempted, Failure> {
        let place = self.names.iter().position(|name| *name == message.consumer).unwrap_or_default();
        let handler = self.handlers[place].as_ref();
        if !handler.knows(&message.event.kind) {
            return self.dead_letter(tx, message, "unknown type".to_owned()).await;
        }
        let events = std::slice::from_ref(&message.event);
        let outcome = decide(handler, tx, events).await?.into_iter().next();
        match outcome {
            Some(Outcome::RetryLater(reason)) => self.fail(tx, message, reason).await,
            Some(Outcome::DeadLetter(reason)) => self.dead_letter(tx, message, reason).await,
            Some(outcome) => {
                let mut effects = Effects::default();
                collect(&message.event, outcome, &mut effects);
                self.store.write(tx, message.consumer, &effects).await?;
                self.store.settle(tx, message).await?;
                Ok((APPLIED, String::new()))
            }
            None => Err(Failure::Outcomes { given: 0, wanted: 1 }),
        }
    }

    async fn fail(&self, tx: &mut S::Tx, message: &DueMessage, reason: String) -> Result<Attempted, Failure> {
        let attempts = message.attempts + 1;
        if attempts >= self.settings.max_attempts {
            return self.dead_letter(tx, message, reason).await;
        }
        let doubled = self.settings.backoff.0.saturating_mul(1 << message.attempts.clamp(0, 20)).min(LONGEST_WAIT);
        let wait = doubled.mul_f64(0.75 + unit(self.random.as_ref()) / 2.0);
        self.store.fail(tx, message, &reason, Verdict::RetryAfter(wait)).await?;
        Ok(("parked", reason))
    }

    async fn dead_letter(&self, tx: &mut S::Tx, message: &DueMessage, reason: String) -> Result<Attempted, Failure> {
        self.store.fail(tx, message, &reason, Verdict::Bury).await?;
        Ok((DEAD, reason))
    }

    fn count(&self, message: &DueMessage, outcome: &str) {
        self.metrics.events.with_label_values(&[message.consumer, outcome]).inc();
        if outcome == DEAD {
            self.metrics.dead_letters.with_label_values(&[message.consumer]).inc();
        }
    }
}
