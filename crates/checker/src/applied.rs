//! Whether every frame was applied by each of its consumers: by the frame's own row in the inbox, or by rows of all its
//! events, as consumers write them that claim events, and those of releases in which a row of the outbox was an event.

use std::{
    cell::Cell,
    collections::{BTreeSet, HashSet},
};

use anyhow::{Context as _, Result};
use flotilla_messaging::frame;
use flotilla_proto::events::{Consumer, consumers};
use uuid::Uuid;

use crate::{
    access::Databases,
    finding::Finding,
    merge::{Pair, merge},
};

/// Frames that are decoded at once: few by size, and few scans of the outbox by number.
const CHUNK: usize = 10_000;

/// The inbox's key ensures "at most once"; if nothing is missing, it is "exactly once".
pub async fn check(databases: &Databases) -> Result<Finding> {
    let (mut all, mut wrong) = (0, Vec::new());
    for route in consumers::ALL.iter().filter(|route| !databases.is_absent(route.durable)) {
        let (count, unclaimed) = unclaimed(databases, route).await?;
        all += count;
        for chunk in unclaimed.chunks(CHUNK) {
            wrong.extend(missing(databases, route, chunk).await?);
        }
    }
    Ok(Finding::of("every message was applied once by each consumer", format!("{all} frames"), &wrong))
}

/// How many frames a consumer reads, and those that have no row of their own in its inbox.
async fn unclaimed(databases: &Databases, route: &Consumer) -> Result<(u64, Vec<Uuid>)> {
    let (consumer, reader, producer) = (route.durable, route.service, route.stream.service);
    let subjects = route.subjects.join("', '");
    let sent = databases
        .stream(producer, &format!("SELECT DISTINCT id FROM outbox WHERE subject IN ('{subjects}') ORDER BY id"))
        .await?;
    let recorded = format!(
        "SELECT message_id FROM inbox WHERE consumer = '{consumer}'
         UNION SELECT message_id FROM parked WHERE consumer = '{consumer}' ORDER BY 1"
    );
    // A service that consumes its own stream has both in one database.
    let applied = if reader == producer {
        databases.stream_apart(reader, &recorded).await?
    } else {
        databases.stream(reader, &recorded).await?
    };
    let frames = Cell::new(0);
    let judge = |id, pair: Pair<'_>| {
        frames.set(frames.get() + u64::from(!matches!(pair, Pair::Right)));
        matches!(pair, Pair::Left(_)).then_some(id)
    };
    let (_, unclaimed) = merge(sent, applied, judge).await?;
    Ok((frames.get(), unclaimed))
}

/// Descriptions of the events in these frames that the consumer has neither applied nor parked.
async fn missing(databases: &Databases, route: &Consumer, frames: &[Uuid]) -> Result<Vec<String>> {
    let consumer = route.durable;
    let sql = "SELECT DISTINCT ON (id) id, subject, event FROM outbox WHERE id = ANY ($1)";
    let rows = databases.of(route.stream.service)?.query(sql, &[&frames]).await.context(sql)?;
    let (mut events, mut wrong) = (BTreeSet::new(), Vec::new());
    for row in &rows {
        let (id, subject, payload): (Uuid, &str, &[u8]) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        match frame::decode(subject, &payload.to_vec().into()) {
            Ok(parts) => events.extend(parts.into_iter().flatten().map(|event| (event.id, id))),
            Err(_) => wrong.push(format!("frame {id} in the outbox of {} is undecodable", route.stream.service)),
        }
    }
    let ids: Vec<Uuid> = events.iter().map(|(event, _)| *event).collect();
    let sql = "SELECT message_id FROM inbox WHERE consumer = $1 AND message_id = ANY ($2)
         UNION SELECT message_id FROM parked WHERE consumer = $1 AND message_id = ANY ($2)";
    let recorded = databases.of(route.service)?.query(sql, &[&consumer, &ids]).await.context(sql)?;
    let recorded: HashSet<Uuid> = recorded.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let missing = events.into_iter().filter(|(event, _)| !recorded.contains(event));
    wrong.extend(missing.map(|(event, frame)| format!("{consumer} has not applied {event} of frame {frame}")));
    Ok(wrong)
}
