//! Outboxes, inboxes, parked messages, deliveries and the broker's streams.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use async_nats::jetstream::{self, consumer};
use flotilla_messaging::broker::nats::connect;
use futures::TryStreamExt as _;

use crate::{
    access::{Databases, Stores},
    applied,
    finding::Finding,
};

/// Checks all invariants about messages.
pub async fn check(databases: &Databases, planted: i64) -> Result<Vec<Finding>> {
    Ok(vec![
        published(databases).await?,
        applied::check(databases).await?,
        acked(databases).await?,
        parked(databases, planted).await?,
        delivered_once(databases).await?,
    ])
}

async fn published(databases: &Databases) -> Result<Finding> {
    let (mut all, mut wrong) = (0, Vec::new());
    for service in databases.services() {
        all += databases.number(service, "SELECT count(*) FROM outbox").await?;
        let waiting = databases
            .number(
                service,
                "SELECT count(*) FROM outbox, relay_cursor
                 WHERE relay_cursor.xid IS NULL OR outbox.generation <> relay_cursor.generation
                    OR (outbox.xid, outbox.id) > (relay_cursor.xid, relay_cursor.id)",
            )
            .await?;
        if waiting > 0 {
            wrong.push(format!("{service} has {waiting} unpublished"));
        }
    }
    Ok(Finding::of("every outbox row was published", format!("{all} rows"), &wrong))
}

async fn acked(databases: &Databases) -> Result<Finding> {
    let mut all = consumers(&databases.nats_url).await?;
    all.retain(|consumer| !databases.is_absent(&consumer.name));
    let late = all.iter().filter(|consumer| consumer.num_pending > 0 || consumer.num_ack_pending > 0);
    let wrong: Vec<_> = late
        .map(|late| format!("{}: {} pending, {} unacked", late.name, late.num_pending, late.num_ack_pending))
        .collect();
    Ok(Finding::of("no consumer has anything left to read or to ack", format!("{} consumers", all.len()), &wrong))
}

/// The names of the broker's durable consumers: those of each release that has run.
///
/// # Errors
/// If the broker doesn't respond.
pub async fn durable_consumers(stores: &Stores) -> Result<BTreeSet<String>> {
    Ok(consumers(&stores.nats_url).await?.into_iter().filter_map(|consumer| consumer.config.durable_name).collect())
}

/// The state of all consumers of all streams.
async fn consumers(nats_url: &str) -> Result<Vec<consumer::Info>> {
    let client = connect(nats_url).await.context("NATS doesn't respond: run `fleet status` to see why")?;
    let context = jetstream::new(client);
    let (mut streams, mut all) = (context.streams(), Vec::new());
    while let Some(info) = streams.try_next().await? {
        let stream = context.get_stream(&info.config.name).await?;
        all.extend(stream.consumers().try_collect::<Vec<_>>().await?);
    }
    Ok(all)
}

async fn parked(databases: &Databases, planted: i64) -> Result<Finding> {
    let (mut all, mut wrong) = (0, Vec::new());
    for service in databases.services() {
        let rows = databases.rows(service, "SELECT consumer, message_id::text, reason FROM parked LIMIT 100").await?;
        all += i64::try_from(rows.len())?;
        wrong.extend(rows.iter().map(|row| {
            format!("{} {}: {}", row.get::<_, String>(0), row.get::<_, String>(1), row.get::<_, String>(2))
        }));
    }
    if all == planted {
        wrong.clear();
    }
    Ok(Finding::of("nothing is parked but what was planted", format!("{all} parked"), &wrong))
}

async fn delivered_once(databases: &Databases) -> Result<Finding> {
    let all = databases.number("notification", "SELECT count(*) FROM deliveries").await?;
    let mut wrong = databases
        .wrong(
            "notification",
            "SELECT format('event %s has %s deliveries by %s', event_id, count(*), channel) FROM deliveries
             GROUP BY event_id, channel HAVING count(*) > 1 LIMIT 100",
        )
        .await?;
    wrong.extend(
        databases
            .wrong(
                "notification",
                "SELECT format('customer %s has %s deliveries up to number %s', customer_id, count(*), max(sequence))
                 FROM deliveries GROUP BY customer_id HAVING count(*) <> max(sequence) OR min(sequence) <> 1 LIMIT 100",
            )
            .await?,
    );
    Ok(Finding::of(
        "deliveries are unique for each event and channel, and numbered without gaps",
        format!("{all} deliveries"),
        &wrong,
    ))
}
