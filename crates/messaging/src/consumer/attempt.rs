//! One attempt at a batch: one transaction, however many of its messages fail.
//!
//! The first attempt passes the whole batch to the handler without savepoints. If a message is at fault, the next
//! attempt splits the batch into halves, each with a savepoint, until the message is alone; it is parked, and the
//! effects of the others are committed in the same transaction.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tracing::warn;
use uuid::Uuid;

use super::Consumer;
use super::batch::Batch;
use super::trace::Spans;
use crate::broker::Broker;
use crate::error::{Error, StoreError};
use crate::event::Event;
use crate::handler::{Claim, Handler, HandlerError, Outcome};
use crate::store::{Effects, InboxStore, Parked};

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Handler(#[from] HandlerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Write(#[from] Error),
    #[error("the handler panicked: {0}")]
    Panic(String),
    #[error("the handler returned {given} outcomes for {wanted} events")]
    Outcomes { given: usize, wanted: usize },
}

impl Failure {
    /// Whether a message is to blame.
    pub(crate) fn is_data(&self) -> bool {
        match self {
            Self::Handler(error) => error.is_data(),
            Self::Store(error) => error.kind() == flotilla_postgres::ErrorKind::Data,
            Self::Write(error) => error.is_data(),
            Self::Panic(_) | Self::Outcomes { .. } => true,
        }
    }
}

/// The results of a batch, for the counters.
#[derive(Default)]
struct Tally {
    applied: u64,
    repeated: u64,
    parked: u64,
    dead: u64,
    /// New dead letters.
    buried: u64,
    /// Which events were duplicates, and which were parked and why: for their spans, if any are recorded.
    repeats: Vec<Uuid>,
    aside: Vec<(Uuid, String)>,
    /// The first parked message, for the log, which gets one line per transaction.
    first: Option<(Uuid, String, String)>,
}

impl<S: InboxStore, B: Broker> Consumer<S, B> {
    /// Tries the whole batch in one transaction. Nothing is kept unless this returns `Ok`.
    pub(super) async fn attempt(&self, batch: &Batch, spans: &Spans, carefully: bool) -> Result<(), Failure> {
        let mut tx = self.parts.store.begin().await?;
        let tally = match self.fill(&mut tx, batch, carefully).await {
            Ok(tally) => tally,
            Err(error) => {
                // A handler that panicked may have left the connection in any state: it is not used again.
                if !matches!(error, Failure::Panic(_)) {
                    self.parts.store.rollback(tx).await.ok();
                }
                return Err(error);
            }
        };
        self.parts.store.commit(tx).await?;
        self.count(batch, &tally);
        self.log_parked(&tally);
        spans.applied(&tally.repeats, &tally.aside);
        Ok(())
    }

    async fn fill(&self, tx: &mut S::Tx, batch: &Batch, carefully: bool) -> Result<Tally, Failure> {
        let store = &self.parts.store;
        let name = self.parts.spec.name;
        let mut tally = Tally::default();
        let mut aside = batch.unclaimable.clone();

        let fresh = match batch.claims.is_empty() {
            true => Vec::new(),
            false => store.claim(tx, name, &batch.claims).await?,
        };
        let all_new = fresh.len() == batch.claims.len() && !batch.repeats;
        if all_new && batch.events.iter().all(|event| self.parts.handler.knows(&event.kind)) {
            self.hand_over(tx, &batch.events, carefully, &mut tally).await?;
        } else {
            let chosen = self.chosen(batch, &fresh, &mut aside, &mut tally);
            self.hand_over(tx, &chosen, carefully, &mut tally).await?;
        }

        if !aside.is_empty() {
            tally.dead += aside.len() as u64;
            tally.set_aside(&aside);
            let effects = Effects { parked: aside, ..Effects::default() };
            tally.buried += store.write(tx, name, &effects).await?;
        }
        Ok(tally)
    }

    /// The new events that the handler understands, each once; those that it doesn't understand are parked.
    ///
    /// A handler that claims frames also gets events that were claimed by their own ids, whether new or not: the previous
    /// release sends a command again as a frame with the command's id, and a message that doesn't name its frames may
    /// contain one.
    fn chosen(&self, batch: &Batch, fresh: &[Uuid], aside: &mut Vec<Parked>, tally: &mut Tally) -> Vec<Event> {
        let fresh: HashSet<Uuid> = fresh.iter().copied().collect();
        let of_frames = self.parts.handler.claims() == Claim::Frame;
        let mut seen = HashSet::with_capacity(batch.events.len());
        let mut chosen = Vec::with_capacity(batch.events.len());
        for (event, claim) in batch.events.iter().zip(&batch.claimed_by) {
            let is_new = fresh.contains(claim) || (of_frames && *claim == event.id);
            if !is_new || !seen.insert(event.id) {
                tally.repeated += 1;
                tally.repeats.push(event.id);
            } else if self.parts.handler.knows(&event.kind) {
                chosen.push(event.clone());
            } else {
                let reason = format!("unknown type {}", event.kind);
                aside.push(Parked { event: event.clone(), reason, dead: true });
            }
        }
        chosen
    }

    async fn hand_over(
        &self,
        tx: &mut S::Tx,
        events: &[Event],
        carefully: bool,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        if events.is_empty() {
            return Ok(());
        }
        if !carefully {
            return self.apply_events(tx, events, tally).await;
        }
        let store = &self.parts.store;
        prepare(self.parts.handler.as_ref(), tx, events).await?;
        // Left halves first, so that messages keep their order.
        let middle = events.len() / 2;
        let mut open = vec![middle..events.len(), 0..middle];
        while let Some(range) = open.pop() {
            if range.is_empty() {
                continue;
            }
            store.savepoint(tx).await?;
            let mut part = Tally::default();
            let mut result = self.apply_events(tx, &events[range.clone()], &mut part).await;
            if result.is_ok() {
                result = store.check(tx).await.map_err(Failure::from);
            }
            match result {
                Ok(()) => tally.add(part),
                Err(error) if !error.is_data() => return Err(error),
                Err(error) => {
                    store.undo(tx).await?;
                    if range.len() == 1 {
                        let reason = error.to_string();
                        let parked = vec![Parked { event: events[range.start].clone(), reason, dead: false }];
                        tally.set_aside(&parked);
                        store.write(tx, self.parts.spec.name, &Effects { parked, ..Effects::default() }).await?;
                        tally.parked += 1;
                    } else {
                        let middle = range.start + range.len() / 2;
                        open.push(middle..range.end);
                        open.push(range.start..middle);
                    }
                }
            }
        }
        Ok(())
    }

    async fn apply_events(&self, tx: &mut S::Tx, events: &[Event], tally: &mut Tally) -> Result<(), Failure> {
        let outcomes = decide(self.parts.handler.as_ref(), tx, events).await?;
        let mut effects = Effects::default();
        for (event, outcome) in events.iter().zip(outcomes) {
            match outcome {
                Outcome::Done(_) => tally.applied += 1,
                Outcome::DeadLetter(_) => tally.dead += 1,
                Outcome::RetryLater(_) => tally.parked += 1,
            }
            collect(event, outcome, &mut effects);
        }
        tally.set_aside(&effects.parked);
        if !effects.is_empty() {
            tally.buried += self.parts.store.write(tx, self.parts.spec.name, &effects).await?;
        }
        Ok(())
    }

    /// Logs one line for a transaction, however many of its messages were parked; the table lists them.
    fn log_parked(&self, tally: &Tally) {
        let Some((message_id, kind, reason)) = &tally.first else { return };
        let (messages, dead) = (tally.parked + tally.dead, tally.dead);
        let consumer = self.parts.spec.name;
        warn!(consumer, messages, dead, first_message_id = %message_id, kind, reason, "messages parked");
    }

    fn count(&self, batch: &Batch, tally: &Tally) {
        let metrics = &self.parts.metrics;
        let name = self.parts.spec.name;
        let outcomes =
            [("applied", tally.applied), ("repeated", tally.repeated), ("parked", tally.parked), ("dead", tally.dead)];
        for (outcome, count) in outcomes.into_iter().filter(|(_, count)| *count > 0) {
            metrics.events.with_label_values(&[name, outcome]).inc_by(count);
        }
        if tally.buried > 0 {
            metrics.dead_letters.with_label_values(&[name]).inc_by(tally.buried);
        }
        metrics.batch.with_label_values(&[name]).observe(batch.len() as f64);
        if let Some(lag) = batch.events.last().and_then(|last| self.parts.ids.now().duration_since(last.time).ok()) {
            metrics.lag.with_label_values(&[name]).observe(lag.as_secs_f64());
        }
    }
}

impl Tally {
    fn set_aside(&mut self, parked: &[Parked]) {
        if let (None, Some(Parked { event, reason, .. })) = (&self.first, parked.first()) {
            self.first = Some((event.id, event.kind.clone(), reason.clone()));
        }
        if flotilla_telemetry::sampled() {
            self.aside.extend(parked.iter().map(|parked| (parked.event.id, parked.reason.clone())));
        }
    }

    fn add(&mut self, other: Self) {
        self.applied += other.applied;
        self.repeated += other.repeated;
        self.parked += other.parked;
        self.dead += other.dead;
        self.buried += other.buried;
        self.aside.extend(other.aside);
        self.first = self.first.take().or(other.first);
    }
}

/// Lets the handler prepare for a batch in parts; a panic becomes an error.
async fn prepare<T: Send + 'static>(handler: &dyn Handler<T>, tx: &mut T, events: &[Event]) -> Result<(), Failure> {
    let answer = AssertUnwindSafe(handler.prepare(tx, events)).catch_unwind().await;
    Ok(answer.map_err(|panic| Failure::Panic(panic_message(panic.as_ref())))??)
}

/// Calls the handler; a panic becomes an error.
pub(crate) async fn decide<T: Send + 'static>(
    handler: &dyn Handler<T>,
    tx: &mut T,
    events: &[Event],
) -> Result<Vec<Outcome>, Failure> {
    let answer = AssertUnwindSafe(handler.handle(tx, events)).catch_unwind().await;
    let outcomes = answer.map_err(|panic| Failure::Panic(panic_message(panic.as_ref())))??;
    if outcomes.len() != events.len() {
        return Err(Failure::Outcomes { given: outcomes.len(), wanted: events.len() });
    }
    Ok(outcomes)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "without a message".to_owned(),
    }
}

/// Adds one outcome to the transaction's effects.
pub(crate) fn collect(event: &Event, outcome: Outcome, effects: &mut Effects) {
    match outcome {
        Outcome::Done(events) => effects.events.extend(events),
        Outcome::DeadLetter(reason) => effects.parked.push(Parked { event: event.clone(), reason, dead: true }),
        Outcome::RetryLater(reason) => effects.parked.push(Parked { event: event.clone(), reason, dead: false }),
    }
}
