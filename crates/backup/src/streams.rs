//! Deletes the broker's streams after a restore.
//!
//! The streams are ahead of the databases: they hold events of orders that no longer exist, and their consumers have
//! acked events whose effects are gone. Once the streams are deleted, the relays republish everything that the outboxes
//! retain, and the inboxes discard what was applied before the restore point. Settings and flags are in a bucket, which
//! stays. Inventory's bucket of prices is deleted too, because it holds prices from after the restore point; inventory
//! refills it from its database.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::{self, ErrorCode, context::DeleteStreamErrorKind};
use flotilla_messaging::broker::nats::connect;
use flotilla_servers::{Binaries, Nats, NatsOptions, NatsUser};

use crate::paths::FleetPaths;

/// The stream that backs inventory's bucket of prices.
const PRICES: &str = "KV_prices";
/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The broker whose streams are deleted.
pub enum Broker {
    /// A running server: its URL, with a user who may delete streams.
    Running(String),
    /// The fleet's own server, which is started temporarily.
    Own {
        /// Its users.
        users: Vec<NatsUser>,
        /// The user who may delete streams.
        commands: NatsUser,
    },
}

/// Deletes the services' streams, with their consumers; returns how many there were.
pub async fn delete(paths: &FleetPaths, binaries: &Binaries, broker: Broker) -> Result<usize> {
    let (users, commands) = match broker {
        Broker::Running(url) => return delete_at(&url, &paths.databases).await,
        Broker::Own { users, commands } => (users, commands),
    };
    let options = NatsOptions { users, ..NatsOptions::default() };
    let mut nats = Nats::start(binaries, &paths.layout()?, &paths.nats, options).await?;
    let deleted = delete_at(&commands.at(&nats.url()), &paths.databases).await;
    nats.stop().await?;
    deleted
}

async fn delete_at(url: &str, services: &[String]) -> Result<usize> {
    let work = async {
        let context = jetstream::new(connect(url).await.context("NATS doesn't respond")?);
        let mut deleted = 0;
        for service in services {
            match context.delete_stream(service.to_uppercase()).await {
                Ok(_) => deleted += 1,
                Err(error) if is_absent(error.kind()) => {}
                Err(error) => return Err(error).with_context(|| format!("can't delete the stream of {service}")),
            }
        }
        match context.delete_stream(PRICES).await {
            Err(error) if !is_absent(error.kind()) => Err(error).context("can't delete the bucket of prices"),
            _ => Ok(deleted),
        }
    };
    tokio::time::timeout(PATIENCE, work).await.context("NATS takes too long")?
}

fn is_absent(kind: DeleteStreamErrorKind) -> bool {
    matches!(kind, DeleteStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}
