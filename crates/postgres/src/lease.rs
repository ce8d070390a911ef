//! A connection checked out of the pool.
//!
//! Guarantees that a connection is returned only by [`Lease::give_back`], which is called when the server has answered
//! everything. In all other cases (a connection error, a future dropped before it completed, a panic) the connection is
//! closed, because its state is unknown. A statement that is still running is cancelled.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flotilla_call::Deadline;
use tokio_postgres::Statement;

use crate::cancel::Cancels;
use crate::error::Error;
use crate::sessions::PooledSession;
use crate::trace;

/// One connection, closed on drop unless it was returned.
pub(crate) struct Lease {
    object: Option<PooledSession>,
    /// How long to wait for an answer. Longer than the server's own limit, which should apply first.
    answer_timeout: Duration,
    /// Statements that the server has not answered.
    running: AtomicU32,
    cancels: Cancels,
}

impl Lease {
    pub(crate) fn new(object: PooledSession, answer_timeout: Duration, cancels: Cancels) -> Self {
        Self { object: Some(object), answer_timeout, running: AtomicU32::new(0), cancels }
    }

    pub(crate) fn client(&self) -> &PooledSession {
        self.object.as_ref().expect("the connection leaves only with the lease")
    }

    /// Returns the connection to its pool.
    pub(crate) fn give_back(mut self) {
        drop(self.object.take());
    }

    /// Returns the connection if the server answered, else closes it.
    pub(crate) fn settle<T>(self, result: Result<T, Error>) -> Result<T, Error> {
        if result.as_ref().err().is_none_or(Error::answered) {
            self.give_back();
        }
        result
    }

    /// Waits for the answer to a statement, at most for this connection's timeout and until the deadline of the current
    /// call. Records a span if the trace is sampled.
    pub(crate) async fn within<T>(
        &self,
        what: &str,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        let span = trace::statement(what);
        let result = self.wait(what, span.within(answer)).await;
        if let Err(error) = &result {
            trace::failed(&span, error);
        }
        result
    }

    /// As [`within`](Self::within), without a span.
    async fn wait<T>(
        &self,
        what: &str,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        self.running.fetch_add(1, Ordering::Relaxed);
        // Not decremented if this future is dropped or times out: the statement may still be running.
        let Ok(result) = tokio::time::timeout(Deadline::at_most(self.answer_timeout), answer).await else {
            return Err(Error::slow(what));
        };
        self.running.fetch_sub(1, Ordering::Relaxed);
        result.map_err(Error::from)
    }

    /// Prepares a statement, once for each connection.
    pub(crate) async fn prepare(&self, sql: &'static str) -> Result<Statement, Error> {
        self.wait(sql, self.client().prepare_cached(sql)).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        if self.running.load(Ordering::Relaxed) > 0 {
            self.cancels.send(object.cancel_token());
        }
        drop(PooledSession::take(object));
    }
}
