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
use flotilla_servers::{Binaries, External, Layout, Nats, NatsOptions};

use super::own;
use crate::{DATABASES, broker, home::Home, secrets::Secrets};

/// The stream that backs inventory's bucket of prices.
const PRICES: &str = "KV_prices";
/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Deletes the services' streams, with their consumers, from the fleet's broker or the user's own.
pub async fn forget(home: &Home, layout: &Layout, binaries: &Binaries) -> Result<usize> {
    if let Some(url) = own::agreed(home, External::from_env())?.nats {
        return delete(&url).await;
    }
    let users = broker::users(&Secrets::complete(home)?.nats_passwords);
    let commands = users.iter().find(|user| user.name == broker::COMMANDS).cloned();
    let options = NatsOptions { users, ..NatsOptions::default() };
    let mut nats = Nats::start(binaries, layout, &home.server_name("nats"), options).await?;
    let deleted = delete(&commands.map_or_else(|| nats.url(), |user| user.at(&nats.url()))).await;
    nats.stop().await?;
    deleted
}

async fn delete(url: &str) -> Result<usize> {
    let work = async {
        let context = jetstream::new(connect(url).await.context("NATS doesn't answer")?);
        let mut deleted = 0;
        for service in DATABASES {
            match context.delete_stream(service.to_uppercase()).await {
                Ok(_) => deleted += 1,
                Err(error) if is_absent(error.kind()) => {}
                Err(error) => return Err(error).with_context(|| format!("the stream of {service} can't be deleted")),
            }
        }
        match context.delete_stream(PRICES).await {
            Err(error) if !is_absent(error.kind()) => Err(error).context("the bucket of prices can't be deleted"),
            _ => Ok(deleted),
        }
    };
    tokio::time::timeout(PATIENCE, work).await.context("NATS takes too long")?
}

fn is_absent(kind: DeleteStreamErrorKind) -> bool {
    matches!(kind, DeleteStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}
