//! Waits for accounts that are about to open: a user may make a call before the event of their sign-up has been
//! consumed.
//!
//! One task looks up all awaited accounts with one statement, so that many new users cost no more than one. There are
//! never more waits than concurrent calls, which the server limits.

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
    /// Kept while a call waits for it; cancelled once the account exists.
    waiting: Mutex<HashMap<Uuid, Weak<CancellationToken>>>,
    begun: Notify,
    hinted: Notify,
}

impl AccountWaits {
    /// Creates the waits on the table of accounts; they end only while [`run`](Self::run) is running.
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts, waiting: Mutex::default(), begun: Notify::new(), hinted: Notify::new() }
    }

    /// Waits until the account exists, at most for `patience`; returns whether it does.
    pub async fn wait(&self, customer: Uuid, patience: Duration) -> bool {
        let latch = self.join(customer);
        self.begun.notify_one();
        tokio::time::timeout(patience, latch.cancelled()).await.is_ok()
    }

    /// Signals that a transaction of this process is opening accounts.
    pub fn hint(&self) {
        self.hinted.notify_one();
    }

    /// Looks up awaited accounts until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(self.begun.notified()).await.is_some() {
            if shutdown.run_until_cancelled(self.look()).await.is_none() {
                return;
            }
        }
    }

    /// Looks up accounts until no call waits any more.
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

    /// The accounts that calls still wait for, sorted; abandoned waits are dropped.
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
