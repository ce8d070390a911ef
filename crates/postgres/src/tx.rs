//! Transactions without a lifetime parameter.
//!
//! A [`Tx`] holds its pooled connection until it ends. If it is dropped unfinished, its connection is closed, so that
//! the server rolls back and no later caller gets a dirty session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use crate::error::Error;
use crate::lease::Lease;
use crate::metrics::{End, PoolMetrics};
use crate::row::Row;

/// An action to run after a commit.
type Action = Box<dyn FnOnce() + Send>;

/// An open transaction.
///
/// Its methods take `&self`, so that independent statements can share a round trip:
/// `futures::try_join!(tx.query(a, ..), tx.query(b, ..))`. Statements joined like this may run in any order.
pub struct Tx {
    lease: Option<Lease>,
    /// The numbers of statements begun and succeeded. If they differ at the commit, the transaction may be aborted, and
    /// PostgreSQL would answer a bare COMMIT with a silent rollback.
    begun: AtomicU64,
    succeeded: AtomicU64,
    started: Instant,
    metrics: PoolMetrics,
    after: Mutex<After>,
}

/// Actions that wait for the commit.
#[derive(Default)]
struct After {
    actions: Vec<Action>,
    /// The number of actions at the savepoint.
    mark: usize,
}

impl Tx {
    pub(crate) fn new(lease: Lease, metrics: PoolMetrics) -> Self {
        Self {
            lease: Some(lease),
            begun: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
            started: Instant::now(),
            metrics,
            after: Mutex::default(),
        }
    }

    /// Runs an action once this transaction has committed, such as counting its results; not if it is rolled back, nor
    /// if its commit got no answer.
    pub fn after_commit(&self, action: impl FnOnce() + Send + 'static) {
        self.after.lock().unwrap_or_else(PoisonError::into_inner).actions.push(Box::new(action));
    }

    /// Marks a savepoint: [`forget_to_mark`](Self::forget_to_mark) removes the actions added from here on.
    pub fn mark(&self) {
        let mut after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        after.mark = after.actions.len();
    }

    /// Removes the actions added since the [`mark`](Self::mark), after a rollback to the savepoint.
    pub fn forget_to_mark(&self) {
        let mut after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = after.mark;
        after.actions.truncate(mark);
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    /// The statement's error; the transaction is then aborted unless a savepoint was set.
    pub async fn query(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let (lease, statement) = self.prepare(sql).await?;
        let answer = lease.within(sql, lease.client().query(&statement, params)).await?;
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        Ok(Row::all(answer, sql))
    }

    /// Runs a statement that returns exactly one row.
    ///
    /// # Errors
    /// The statement's error, or [`crate::ErrorKind::Other`] for another number of rows.
    pub async fn query_one(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Error> {
        let (lease, statement) = self.prepare(sql).await?;
        let answer = lease.within(sql, lease.client().query_one(&statement, params)).await?;
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        Ok(Row::new(answer, sql))
    }

    /// Runs a statement that returns at most one row.
    ///
    /// # Errors
    /// The statement's error, or [`crate::ErrorKind::Other`] for more rows.
    pub async fn query_opt(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>, Error> {
        let (lease, statement) = self.prepare(sql).await?;
        let answer = lease.within(sql, lease.client().query_opt(&statement, params)).await?;
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        Ok(answer.map(|row| Row::new(row, sql)))
    }

    /// Runs a statement and returns the number of affected rows.
    ///
    /// # Errors
    /// The statement's.
    pub async fn execute(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let (lease, statement) = self.prepare(sql).await?;
        let answer = lease.within(sql, lease.client().execute(&statement, params)).await?;
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }

    /// Runs statements without parameters, separated by semicolons; for savepoints, `SET LOCAL` and tests.
    ///
    /// # Errors
    /// The error of the first statement that fails.
    pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        let lease = self.lease();
        self.begun.fetch_add(1, Ordering::Relaxed);
        lease.within(sql, lease.client().batch_execute(sql)).await?;
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Commits. An aborted transaction is an error here, never a silent rollback.
    ///
    /// # Errors
    /// Deferred constraints, conflicts, an aborted transaction; for a lost connection see
    /// [`Error::outcome_unknown`].
    pub async fn commit(mut self) -> Result<(), Error> {
        let sure = self.begun.load(Ordering::Relaxed) == self.succeeded.load(Ordering::Relaxed);
        let commit = if sure { "COMMIT" } else { "SELECT 1; COMMIT" };
        let lease = self.take();
        let result = lease.within("commit", lease.client().batch_execute(commit)).await;
        match result {
            Ok(()) => {
                self.ended(End::Commit);
                lease.give_back();
                let after = std::mem::take(self.after.get_mut().unwrap_or_else(PoisonError::into_inner));
                after.actions.into_iter().for_each(|action| action());
                Ok(())
            }
            Err(error) => {
                self.ended(End::Failed);
                Err(error.while_committing())
            }
        }
    }

    /// Rolls back and keeps the connection.
    ///
    /// # Errors
    /// The connection broke; the server then rolls back on its own.
    pub async fn rollback(mut self) -> Result<(), Error> {
        let lease = self.take();
        let result = lease.within("rollback", lease.client().batch_execute("ROLLBACK")).await;
        self.ended(End::Rollback);
        lease.settle(result)
    }

    /// Rolls back, keeps the connection and returns a refusal as the transaction's end.
    ///
    /// # Errors
    /// The refusal; or the connection broke.
    pub async fn rollback_with<T, E: From<Error>>(self, refusal: E) -> Result<T, E> {
        self.rollback().await?;
        Err(refusal)
    }

    async fn prepare(&self, sql: &'static str) -> Result<(&Lease, Statement), Error> {
        let lease = self.lease();
        self.begun.fetch_add(1, Ordering::Relaxed);
        Ok((lease, lease.prepare(sql).await?))
    }

    fn lease(&self) -> &Lease {
        self.lease.as_ref().expect("only the methods that consume the transaction take its connection")
    }

    fn take(&mut self) -> Lease {
        self.lease.take().expect("only the methods that consume the transaction take its connection")
    }

    fn ended(&self, end: End) {
        self.metrics.transaction(end, self.started.elapsed());
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if self.lease.is_some() {
            self.ended(End::Dropped);
        }
    }
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}
