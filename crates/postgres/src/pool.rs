//! Pools of connections, one for each role of a service.
//!
//! Connections are opened when first needed. Sessions are configured only by connection options, so that a pooler in
//! between can replay them. Statements are prepared once per connection.
//!
//! Work for a call ends with the call: no wait exceeds the call's deadline ([`Deadline`]), a transaction passes the
//! remaining time to the server in the message that begins it, and a statement whose caller has gone away is cancelled.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{QueueMode, Runtime};
use flotilla_call::Deadline;
use flotilla_cgroup::Limits;
use flotilla_config::{Live, SecretString};
use flotilla_fault::Faults;
use prometheus::Registry;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use crate::cancel::Cancels;
use crate::error::{Error, ErrorKind};
use crate::faults::PoolFaults;
use crate::lease::Lease;
use crate::metrics::PoolMetrics;
use crate::row::Row;
use crate::sessions::{SessionPool, Sessions};
use crate::settings::PostgresSettings;
use crate::tx::Tx;

/// How errors name a statement that was composed at run time.
const TEXT: &str = "list";

/// Connections of one role. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
    faults: PoolFaults,
}

struct Inner {
    name: &'static str,
    pool: SessionPool,
    metrics: PoolMetrics,
    /// The session's own `statement_timeout`.
    limit: Duration,
    /// How long the client waits for an answer.
    answer_timeout: Duration,
    cancels: Cancels,
}

impl Pool {
    /// Creates a pool without opening a connection. `name` is its label in metrics. The names `system` and `user` also
    /// restrict the role in the address: no connection is opened as a superuser, nor, for customers' calls, as a role
    /// that bypasses row-level security. When `url` changes, new connections use the new address, and older ones are
    /// closed when they are returned.
    ///
    /// # Errors
    /// If the address is malformed.
    pub fn connect(
        name: &'static str,
        url: &Live<SecretString>,
        settings: &PostgresSettings,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let size = Limits::of_process().connections(settings.pool_size);
        let pool = SessionPool::builder(Sessions::new(name, url, settings)?)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(settings.acquire_timeout.get()))
            .create_timeout(Some(settings.connect_timeout.get()))
            .recycle_timeout(Some(settings.connect_timeout.get()))
            // The connection used last is the warmest; the others may grow old.
            .queue_mode(QueueMode::Lifo)
            .build()
            .map_err(|error| Error::with_source(ErrorKind::Other, "the pool can't be built", error))?;
        let metrics = PoolMetrics::register(name, pool.clone(), registry)
            .map_err(|error| Error::with_source(ErrorKind::Other, "the pool's metrics can't be registered", error))?;
        let (limit, answer_timeout) = (settings.statement_timeout.get(), settings.answer_timeout());
        let inner = Inner { name, pool, metrics, limit, answer_timeout, cancels: Cancels::new(size) };
        Ok(Self { inner: Arc::new(inner), faults: PoolFaults::default() })
    }

    /// Applies injected faults to this pool from now on: slow transactions, leaked connections.
    #[must_use]
    pub fn with_faults(self, faults: &Faults) -> Self {
        Self { faults: PoolFaults::new(faults), ..self }
    }

    /// The pool's label in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.inner.name
    }

    /// Begins a transaction as the pool's role.
    ///
    /// # Errors
    /// No connection within the deadlines.
    pub async fn begin(&self) -> Result<Tx, Error> {
        self.begin_with(&self.begin_sql(None)).await
    }

    /// Begins a transaction on behalf of a user: row-level security sees `flotilla.user_id`. One round trip.
    ///
    /// # Errors
    /// No connection within the deadlines.
    pub async fn begin_as(&self, user: Uuid) -> Result<Tx, Error> {
        self.begin_with(&self.begin_sql(Some(user))).await
    }

    /// Runs one statement in its own transaction.
    ///
    /// # Errors
    /// The statement's error, or no connection within the deadlines.
    pub async fn query(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let lease = self.lease().await?;
        let result = async {
            let statement = lease.prepare(sql).await?;
            let answer = lease.within(sql, lease.client().query(&statement, params)).await;
            answer.map(|rows| Row::all(rows, sql)).map_err(Error::while_committing)
        }
        .await;
        lease.settle(result)
    }

    /// Runs one statement on behalf of a user under row-level security, in one round trip once it is prepared.
    ///
    /// # Errors
    /// The statement's error, or no connection within the deadlines.
    pub async fn query_as(
        &self,
        user: Uuid,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let lease = self.lease().await?;
        let statement = match lease.prepare(sql).await {
            Ok(statement) => statement,
            Err(error) => return lease.settle(Err(error)),
        };
        let rows = in_transaction(&self.begin_sql(Some(user)), lease, sql, Query::Prepared(statement, params)).await?;
        Ok(Row::all(rows, sql))
    }

    /// Runs one statement that was composed at run time from constants: every parameter is of type `text`, and the
    /// statement casts it if it needs another type. It isn't prepared, because the same text may never be used again.
    ///
    /// # Errors
    /// The statement's error, or no connection within the deadlines.
    pub async fn query_text(&self, sql: &str, params: &[String]) -> Result<Vec<Row>, Error> {
        let lease = self.lease().await?;
        let answer = lease.within(sql, Query::text(sql, params).send(lease.client())).await;
        lease.settle(answer.map(|rows| Row::all(rows, TEXT)).map_err(Error::while_committing))
    }

    /// Like [`query_text`](Self::query_text), on behalf of a user under row-level security, in one round trip.
    ///
    /// # Errors
    /// The statement's error, or no connection within the deadlines.
    pub async fn query_text_as(&self, user: Uuid, sql: &str, params: &[String]) -> Result<Vec<Row>, Error> {
        let lease = self.lease().await?;
        let rows = in_transaction(&self.begin_sql(Some(user)), lease, sql, Query::text(sql, params)).await?;
        Ok(Row::all(rows, TEXT))
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// It doesn't, within the deadlines.
    pub async fn ping(&self) -> Result<(), Error> {
        let lease = self.lease().await?;
        let result = lease.within("ping", lease.client().check_connection()).await;
        lease.settle(result)
    }

    /// Closes the pool to further use; connections close when they are returned.
    pub fn close(&self) {
        self.inner.cancels.close();
        self.inner.pool.close();
    }

    /// The statements that begin a transaction, sent as one message. `SET LOCAL` ends with the transaction. The
    /// statement timeout is set only if the call's deadline leaves less than the session's own limit.
    fn begin_sql(&self, user: Option<Uuid>) -> Cow<'static, str> {
        let left = Deadline::current().map(Deadline::remaining).filter(|left| *left < self.inner.limit);
        // Zero would mean no limit.
        let left = left.map(|left| left.as_millis().max(1));
        match (user, left) {
            (None, None) => Cow::Borrowed("BEGIN"),
            // The text of a UUID can't contain quotes.
            (Some(user), None) => format!("BEGIN; SET LOCAL flotilla.user_id = '{user}'").into(),
            (None, Some(left)) => format!("BEGIN; SET LOCAL statement_timeout = {left}").into(),
            (Some(user), Some(left)) => {
                format!("BEGIN; SET LOCAL flotilla.user_id = '{user}'; SET LOCAL statement_timeout = {left}").into()
            }
        }
    }

    async fn begin_with(&self, begin: &str) -> Result<Tx, Error> {
        let lease = self.lease().await?;
        // Awaited although it could be sent together with the first statement: if it failed (such as by a cancel
        // request at that moment), the statements after it would each commit on their own.
        match lease.within("begin", lease.client().batch_execute(begin)).await {
            Ok(()) => {
                let tx = Tx::new(lease, self.inner.metrics.clone());
                self.faults.delay_commit(&tx).await?;
                Ok(tx)
            }
            Err(error) => lease.settle(Err(error)),
        }
    }

    async fn lease(&self) -> Result<Lease, Error> {
        if Deadline::current().is_some_and(|deadline| deadline.remaining().is_zero()) {
            return Err(Error::new(ErrorKind::Timeout, "the call's deadline has passed"));
        }
        let sessions = self.inner.pool.manager();
        if sessions.adopt() {
            drop(self.inner.pool.retain(|session, _| sessions.is_current(session)));
        }
        let asked = Instant::now();
        self.faults.leak_of(&self.inner.pool).await;
        let result = self.inner.pool.get().await.map_err(Error::from);
        self.inner.metrics.acquired(&result, asked.elapsed());
        Ok(Lease::new(result?, self.inner.answer_timeout, self.inner.cancels.clone()))
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

/// Runs one query in the transaction that `begin` begins, in one round trip.
async fn in_transaction(
    begin: &str,
    lease: Lease,
    sql: &str,
    query: Query<'_>,
) -> Result<Vec<tokio_postgres::Row>, Error> {
    let client = lease.client();
    // All three are sent by the first poll, in this order. `join` and not `try_join`: if a parameter can't be encoded,
    // the query fails without being sent, and the commit must still follow.
    let (began, rows, committed) = futures::join!(
        lease.within("begin", client.batch_execute(begin)),
        lease.within(sql, query.send(client)),
        lease.within("commit", client.batch_execute("COMMIT")),
    );
    let over = committed.is_ok();
    // The first error is the cause of the later ones; in each case the commit had been sent.
    let result = began.and(rows).and_then(|rows| committed.map(|()| rows)).map_err(Error::while_committing);
    if over && result.as_ref().err().is_none_or(|error| !error.is_stale()) {
        // The server has answered the commit, so it has answered everything, and no transaction is open.
        lease.give_back();
    }
    result
}

/// A query, prepared or as text.
enum Query<'a> {
    Prepared(Statement, &'a [&'a (dyn ToSql + Sync)]),
    Text(&'a str, Vec<(&'a (dyn ToSql + Sync), Type)>),
}

impl<'a> Query<'a> {
    /// A statement with parameters of type `text`.
    fn text(sql: &'a str, params: &'a [String]) -> Self {
        Self::Text(sql, params.iter().map(|param| (param as &(dyn ToSql + Sync), Type::TEXT)).collect())
    }

    async fn send(&self, client: &Client) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
        match self {
            Self::Prepared(statement, params) => client.query(statement, params).await,
            Self::Text(sql, params) => client.query_typed(sql, params).await,
        }
    }
}
