//! The stores on PostgreSQL. Owns the tables of `migrations/`: outbox, outbox_generation, relay_cursor,
//! relay_checkpoint, relay_stream, relay_consumer, relay_loss, inbox, parked.
//!
//! Statements are counted: an append, a claim, a read and a cursor move are one each, whatever the number of events.

mod inbox;
mod outbox;
mod parked;
mod relay;
mod retention;
mod stream_record;
mod types;

use std::time::Duration;

use flotilla_clock::Ids;
use flotilla_postgres::Pool;

pub(crate) use outbox::OutboxWriter;
pub use relay::PgOutboxRow;
pub use retention::Retention;

use crate::outbox::Waker;
use crate::settings::NatsSettings;

/// The migrations of this crate's tables, applied by the service's owner role, with the history table
/// `messaging_history`.
pub fn migrations() -> refinery::Runner {
    embedded::migrations::runner()
}

mod embedded {
    #![allow(missing_docs)]
    refinery::embed_migrations!("migrations");
}

/// One service's messaging tables.
#[derive(Clone)]
pub struct PgStore {
    pool: Pool,
    writer: OutboxWriter,
    parked_backoff: Duration,
}

impl PgStore {
    /// The tables in the pool of the service's system role. `service` determines the source of events and the subject
    /// of dead letters; `ids` generates the frames' ids.
    pub fn new(service: &'static str, pool: Pool, settings: &NatsSettings, ids: Ids) -> Self {
        Self {
            pool,
            writer: OutboxWriter::new(service, settings.max_event_bytes.bytes(), ids),
            parked_backoff: settings.parked.backoff.0,
        }
    }

    /// The waker shared with the relay.
    pub fn waker(&self) -> Waker {
        self.writer.waker().clone()
    }

    /// The number of messages that each consumer of the service's stream has lost permanently.
    pub(crate) async fn losses(&self) -> Result<Vec<(String, i64)>, flotilla_postgres::Error> {
        stream_record::losses(&self.pool).await
    }

    pub(crate) fn writer(&self) -> OutboxWriter {
        self.writer.clone()
    }
}
