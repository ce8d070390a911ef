//! Waiting for accounts that are about to open: a user may act before the event of their sign-up has come through.
//!
//! One task looks all awaited accounts up with one statement, so that many new users cost no more than
//! one of them. There are never more waits than calls in flight, which the server bounds.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::storage::Accounts;

/// The pause between two lookups without a hint.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);
/// The pause after a hint: the hinting transaction is about to commit.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Accounts that calls wait for.
pub struct AccountWaits {
    accounts: Accounts,
    /// Open as long as a call holds its end; cancelled once the account is there.
    waiting: Mutex<HashMap<Uuid, Weak<CancellationToken>>>,
    begun: Notify,
    hinted: Notify,
}

impl AccountWaits {
    /// Over the table of accounts; waits end only while [`run`](Self::run) runs.
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts, waiting: Mutex::default(), begun: Notify::new(), hinted: Notify::new() }
    }

    /// Waits until the account is there, at most for `patience`; returns whether it is.
    pub async fn wait(&self, customer: Uuid, patience: Duration) -> bool {
        let latch = self.join(customer);
        self.begun.notify_one();
        tokio::time::timeout(patience, latch.cancelled()).await.is_ok()
    }

    /// Hints that a transaction of this process is opening accounts.
    pub fn hint(&self) {
        self.hinted.notify_one();
    }

    /// Looks awaited accounts up until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(self.begun.notified()).await.is_some() {
            if shutdown.run_until_cancelled(self.look()).await.is_none() {
                return;
            }
        }
    }

    /// Looks accounts up until no call waits any more.
    async fn look(&self) {
        let mut pause = LONGEST_PAUSE;
        loop {
            let wanted = self.wanted();
            if wanted.is_empty() {
                return;
            }
            match self.accounts.existing(&wanted).await {
                Ok(found) => {
                    let mut waiting = self.waiting.lock();
                    for latch in found.iter().filter_map(|customer| waiting.remove(customer)?.upgrade()) {
                        latch.cancel();
                    }
                }
                Err(error) => tracing::warn!(%error, "awaited accounts could not be read"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.hinted.notified() => pause = SHORTEST_PAUSE,
            }
        }
    }

    /// What calls still wait for, sorted; abandoned waits are dropped.
    fn wanted(&self) -> Vec<Uuid> {
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, latch| latch.strong_count() > 0);
        let mut wanted: Vec<_> = waiting.keys().copied().collect();
        wanted.sort_unstable();
        wanted
    }

    fn join(&self, customer: Uuid) -> Arc<CancellationToken> {
        let mut waiting = self.waiting.lock();
        if let Some(latch) = waiting.get(&customer).and_then(Weak::upgrade) {
            return latch;
        }
        let latch = Arc::new(CancellationToken::new());
        waiting.insert(customer, Arc::downgrade(&latch));
        latch
    }
}
