//! The tasks of a service's messaging: started together, drained in order, and all awaited.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::broker::nats::NatsBroker;
use crate::broker::{Broker, StreamConfig};
use crate::consumer::{Consumer, ConsumerParts};
use crate::messaging::Messaging;
use crate::metrics::Metrics;
use crate::parked::ParkedRetry;
use crate::postgres::{PgStore, Retention};
use crate::relay::{Relay, RelayParts};
use crate::spec::ConsumerSpec;
use crate::store::{OutboxStore, ParkedStore};
use flotilla_clock::Backoff;
use flotilla_telemetry::in_current_service;

/// How often the backlog gauges are updated.
const GAUGE_INTERVAL: Duration = Duration::from_secs(5);
/// How often the broker is asked for its consumers' backlogs.
const PENDING_INTERVAL: Duration = Duration::from_secs(3);
/// Attempts at creating partitions before starting without them; rows then go to the default partitions.
const PARTITION_ATTEMPTS: usize = 10;

pub(crate) async fn run(messaging: Messaging, shutdown: CancellationToken) {
    let retention = Retention::new(
        messaging.pool.clone(),
        messaging.settings.retention.outbox.0,
        messaging.settings.inbox_retention(),
    );
    make_partitions(&retention, &messaging, &shutdown).await;

    // Consumers stop first and the relay after them, so that the events of their last transactions are still published.
    let relay_shutdown = CancellationToken::new();
    let mut workers = JoinSet::new();
    let mut last = JoinSet::new();

    let relay = relay(&messaging);
    let epoch = relay.epoch();
    last.spawn(in_current_service(relay.run(relay_shutdown.clone())));
    for consumer in consumers(&messaging) {
        workers.spawn(in_current_service(consumer.run(shutdown.clone())));
    }
    workers.spawn(in_current_service(parked(&messaging).run(shutdown.clone())));
    let interval = messaging.settings.retention.interval.0;
    workers.spawn(in_current_service(retain(retention, epoch, interval, shutdown.clone())));
    let gauges = gauges(messaging.store.clone(), messaging.metrics.clone(), shutdown.clone());
    workers.spawn(in_current_service(gauges));
    let specs = messaging.consumers.iter().map(|(spec, _)| *spec).collect();
    let pending = pending(messaging.broker.clone(), specs, messaging.metrics.clone(), shutdown.clone());
    workers.spawn(in_current_service(pending));

    tokio::select! {
        () = shutdown.cancelled() => {}
        Some(ended) = workers.join_next() => unexpected(ended, &shutdown),
        Some(ended) = last.join_next() => unexpected(ended, &shutdown),
    }
    while let Some(ended) = workers.join_next().await {
        report(ended);
    }
    relay_shutdown.cancel();
    while let Some(ended) = last.join_next().await {
        report(ended);
    }
    if let Err(error) = messaging.broker.flush().await {
        debug!(error = %error, "broker not flushed, unacked messages will be redelivered");
    }
}

fn unexpected(ended: Result<(), tokio::task::JoinError>, shutdown: &CancellationToken) {
    if !shutdown.is_cancelled() {
        error!("a messaging task ended unexpectedly, stopping the others");
    }
    report(ended);
    shutdown.cancel();
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        error!(error = %error, "a messaging task failed");
    }
}

/// Messages in transit may belong to partitions that the service didn't create while it was down.
async fn make_partitions(retention: &Retention, messaging: &Messaging, shutdown: &CancellationToken) {
    let random = messaging.ids.random();
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    for _ in 0..PARTITION_ATTEMPTS {
        match retention.make().await {
            Ok(_) => return,
            Err(error) => warn!(error = %error, "partitions not created yet"),
        }
        if !backoff.wait(random.as_ref(), shutdown).await {
            return;
        }
    }
}

fn relay(messaging: &Messaging) -> Relay<PgStore, crate::broker::nats::NatsBroker> {
    let mut subjects: Vec<String> = messaging.stream.subjects.iter().map(|subject| (*subject).to_owned()).collect();
    subjects.push(crate::dead_letter_subject(messaging.service));
    Relay::new(RelayParts {
        store: messaging.store.clone(),
        broker: messaging.broker.clone(),
        stream: StreamConfig { name: messaging.stream.name, subjects },
        holder: messaging.ids.next().to_string(),
        pings: format!("flotilla-relay.{}.{}", messaging.service, messaging.stream.name),
        settings: messaging.settings.relay.clone(),
        publish_deadline: messaging.settings.request_timeout.0,
        retention: messaging.settings.retention.outbox.0,
        health: messaging.health.clone(),
        waker: messaging.store.waker(),
        random: messaging.ids.random(),
        metrics: messaging.metrics.clone(),
    })
    .with_faults(&messaging.faults, messaging.ids.clone())
}

fn consumers(messaging: &Messaging) -> impl Iterator<Item = Consumer<PgStore, crate::broker::nats::NatsBroker>> {
    messaging.consumers.iter().map(|(spec, handler)| {
        Consumer::new(ConsumerParts {
            spec: *spec,
            store: messaging.store.clone(),
            broker: messaging.broker.clone(),
            handler: Arc::clone(handler),
            ids: messaging.ids.clone(),
            prefetch: messaging.settings.prefetch_frames,
            ack_wait: messaging.settings.ack_wait.0,
            horizon: messaging.settings.inbox_retention(),
            metrics: messaging.metrics.clone(),
        })
        .with_faults(&messaging.faults)
    })
}

fn parked(messaging: &Messaging) -> ParkedRetry<PgStore> {
    let consumers = messaging.consumers.iter().map(|(spec, handler)| (spec.name, Arc::clone(handler))).collect();
    ParkedRetry::new(
        messaging.store.clone(),
        consumers,
        messaging.settings.parked.clone(),
        messaging.ids.random(),
        messaging.metrics.clone(),
    )
}

/// Creates partitions ahead of time; under the relay's lease, drops those past their retention.
async fn retain(retention: Retention, epoch: Arc<AtomicI64>, interval: Duration, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
        if let Err(error) = retention.make().await {
            warn!(error = %error, "partitions not created, rows go to the default ones");
        }
        let epoch = epoch.load(Ordering::Relaxed);
        if epoch == 0 {
            continue;
        }
        match retention.drop_old(epoch).await {
            Ok(dropped) if dropped.is_empty() => {}
            Ok(dropped) => info!(partitions = ?dropped, "old partitions dropped"),
            Err(error) => warn!(error = %error, "old partitions not dropped"),
        }
    }
}

/// Reads each consumer's pending messages from the broker: its own loop can't report them while it is stuck.
async fn pending(broker: NatsBroker, specs: Vec<ConsumerSpec>, metrics: Metrics, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(PENDING_INTERVAL)).await.is_some() {
        for spec in &specs {
            match shutdown.run_until_cancelled(broker.pending(spec)).await {
                None => return,
                Some(Ok(pending)) => {
                    let pending = i64::try_from(pending).unwrap_or(i64::MAX);
                    metrics.pending.with_label_values(&[spec.name]).set(pending);
                }
                Some(Err(error)) => debug!(consumer = spec.name, error = %error, "pending messages not counted"),
            }
        }
    }
}

async fn gauges(store: PgStore, metrics: Metrics, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(GAUGE_INTERVAL)).await.is_some() {
        match futures::try_join!(store.backlog(), store.counts(), store.losses()) {
            Ok((backlog, parked, losses)) => {
                metrics.lost.reset();
                for (consumer, frames) in losses {
                    metrics.lost.with_label_values(&[consumer.as_str()]).set(frames);
                }
                metrics.outbox_age.set(backlog.age.as_secs_f64());
                metrics.outbox_pending.set(i64::try_from(backlog.pending).unwrap_or(i64::MAX));
                metrics.parked.with_label_values(&["retrying"]).set(parked.retrying);
                metrics.parked.with_label_values(&["dead"]).set(parked.dead);
            }
            Err(error) => debug!(error = %error, "gauges not updated"),
        }
    }
}
