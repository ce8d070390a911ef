//! Top-ups by group commit: concurrent calls share one transaction, each with its own outcome.

use std::{collections::BTreeSet, time::Duration};

use flotilla_clock::Ids;
use flotilla_messaging::{Event, Outbox};
use flotilla_postgres::{Error as StoreError, GroupCommit, GroupCommitDriver, GroupCommitSettings, Pool, retry};
use flotilla_proto::payments::v1::AccountToppedUp;
use futures::{FutureExt as _, future::try_join};
use uuid::Uuid;

use crate::{
    domain::{Account, Book, Entries, TopUp, TopUpRefusal, Transfer},
    error::Error,
    events,
    metrics::Metrics,
    storage,
};

/// How long a batch is retried while the database is unavailable.
const PATIENCE: Duration = Duration::from_secs(4);
/// One writer keeps hot accounts from waiting for each other.
fn sizes() -> GroupCommitSettings {
    GroupCommitSettings { max_batch: 256.into(), queue: 1_024, writers: 1 }
}

/// The callers' side.
#[derive(Clone)]
pub struct TopUps {
    queue: GroupCommit<TopUp, (), Error>,
}

impl TopUps {
    /// Creates the top-ups with the system role's pool; nothing is applied until the driver runs.
    pub fn new(pool: Pool, outbox: Outbox, ids: Ids, metrics: Metrics) -> (Self, GroupCommitDriver) {
        let writer = Writer { pool, outbox, ids, metrics };
        let (queue, driver) = GroupCommit::new(sizes(), move |batch| {
            let writer = writer.clone();
            async move { writer.apply(batch).await }.boxed()
        });
        (Self { queue }, driver)
    }

    /// Adds money once per (customer, request id).
    ///
    /// # Errors
    /// A refusal, a full queue, or the database's error.
    pub async fn submit(&self, top_up: TopUp) -> Result<(), Error> {
        self.queue.submit(top_up.customer, top_up).await
    }
}

#[derive(Clone)]
struct Writer {
    pool: Pool,
    outbox: Outbox,
    ids: Ids,
    metrics: Metrics,
}

impl Writer {
    async fn apply(&self, batch: Vec<TopUp>) -> Vec<Result<(), Error>> {
        match retry(PATIENCE, || self.attempt(&batch)).await {
            Ok(outcomes) => {
                outcomes.iter().for_each(|outcome| self.metrics.topped_up(outcome.is_ok()));
                let refused = |(top_up, outcome): (&TopUp, Result<(), _>)| {
                    outcome.map_err(|refusal| Error::TopUp(top_up.customer, refusal))
                };
                batch.iter().zip(outcomes).map(refused).collect()
            }
            Err(error) => {
                let error = flotilla_service::storage_error(error);
                batch.iter().map(|_| Err(error.clone().into())).collect()
            }
        }
    }

    async fn attempt(&self, batch: &[TopUp]) -> Result<Vec<Result<(), TopUpRefusal>>, StoreError> {
        let customers: Vec<Uuid> =
            batch.iter().map(|top_up| top_up.customer).collect::<BTreeSet<_>>().into_iter().collect();
        let keys: (Vec<Uuid>, Vec<&str>) =
            batch.iter().map(|top_up| (top_up.customer, top_up.request_id.as_str())).unzip();
        let tx = self.pool.begin().await?;
        let accounts = storage::lock_accounts(&tx, &customers).await?;
        // Read after the locks, so that top-ups by other replicas with the same keys are visible.
        let known = storage::find_top_ups(&tx, &keys.0, &keys.1).await?;
        let (outcomes, entries) = self.decide(batch, accounts, known);
        if entries.transfers.is_empty() {
            tx.rollback().await?;
            return Ok(outcomes);
        }
        let events: Vec<_> = entries.transfers.iter().map(|transfer| self.topped_up(transfer)).collect();
        let append = async { self.outbox.append(&tx, &events).await.map_err(flotilla_messaging::Error::into_postgres) };
        try_join(storage::write(&tx, &entries), append).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    fn decide(
        &self,
        batch: &[TopUp],
        accounts: Vec<Account>,
        known: Vec<TopUp>,
    ) -> (Vec<Result<(), TopUpRefusal>>, Entries) {
        let ids = || self.ids.next();
        let mut book = Book::open(&ids, accounts, [], known);
        let outcomes = batch.iter().map(|top_up| book.top_up(top_up.clone()).map(drop)).collect();
        (outcomes, book.close())
    }

    fn topped_up(&self, transfer: &Transfer) -> Event {
        let message = AccountToppedUp {
            customer_id: transfer.customer.to_string(),
            amount_minor: transfer.amount.minor,
            currency_code: transfer.amount.currency.code().to_owned(),
        };
        events::event(&self.ids, &message, transfer.customer).traced(flotilla_rpc::current_traceparent())
    }
}
