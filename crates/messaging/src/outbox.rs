//! The outbox as services see it: append inside the business transaction, whose commit wakes the relay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_postgres::Tx;
use tokio::sync::Notify;

use crate::error::Error;
use crate::event::Event;
use crate::postgres;

/// Appends to the service's outbox. Clones share one relay.
#[derive(Clone)]
pub struct Outbox {
    writer: postgres::OutboxWriter,
}

impl Outbox {
    pub(crate) fn new(writer: postgres::OutboxWriter) -> Self {
        Self { writer }
    }

    /// Appends all events with one statement; an empty slice costs nothing. They take effect when `tx` commits, and
    /// then the relay is woken.
    ///
    /// # Errors
    /// If an event is too large for a frame (then nothing was sent), or the database refuses.
    pub async fn append(&self, tx: &Tx, events: &[Event]) -> Result<(), Error> {
        self.writer.append(tx, events).await
    }
}

/// Connects committers and the relay: a notification, and the highest id of a transaction that has appended and
/// committed. By the id the relay knows whether rows are still held back by a transaction with a lower id.
#[derive(Clone, Default)]
pub struct Waker {
    notify: Arc<Notify>,
    committed: Arc<AtomicU64>,
}

impl Waker {
    /// Wakes the relay: the transaction with this id has appended and committed. One whose commit got no answer may not
    /// wake it; its rows are found by the relay's next poll.
    pub fn wake(&self, xid: u64) {
        self.committed.fetch_max(xid, Ordering::Relaxed);
        self.notify.notify_one();
    }

    /// Waits for the next wake-up; one that came before the wait counts.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }

    /// The transaction id up to which the relay should read.
    pub fn target(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }
}
