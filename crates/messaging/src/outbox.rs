//! The outbox as services see it: append inside the business transaction, wake the relay after the commit.

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
    waker: Waker,
}

impl Outbox {
    pub(crate) fn new(writer: postgres::OutboxWriter, waker: Waker) -> Self {
        Self { writer, waker }
    }

    /// Appends all events with one statement; an empty slice costs nothing. They take effect when `tx` commits.
    ///
    /// # Errors
    /// If an event is too large for a frame (then nothing was sent), or the database refuses.
    pub async fn append(&self, tx: &Tx, events: &[Event]) -> Result<(), Error> {
        if let Some(xid) = self.writer.append(tx, events).await? {
            self.waker.appended(xid);
        }
        Ok(())
    }

    /// Notifies the relay that a transaction with appended events has committed. Without it they wait for the relay's
    /// next poll.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

/// Connects committers and the relay: a notification, and the highest id of a transaction that has appended and
/// committed. By the id the relay knows whether rows are still held back by a transaction with a lower id.
#[derive(Clone, Default)]
pub struct Waker {
    notify: Arc<Notify>,
    appended: Arc<AtomicU64>,
    committed: Arc<AtomicU64>,
}

impl Waker {
    /// Records that the transaction with this id has appended.
    pub fn appended(&self, xid: u64) {
        self.appended.fetch_max(xid, Ordering::Relaxed);
    }

    /// Wakes the relay: the transactions recorded before have committed or are about to.
    pub fn wake(&self) {
        self.committed.fetch_max(self.appended.load(Ordering::Relaxed), Ordering::Relaxed);
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
