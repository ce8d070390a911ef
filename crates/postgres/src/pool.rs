//! Pools of connections, one for each role of a service.
//!
//! Connections are opened when first needed and their session is set up by connection options alone, so that a
//! pooler in between can replay it. Statements are prepared once for each connection.
//!
//! What a call does here ends with it: nothing is waited for longer than the call's deadline ([`Deadline`]), a
//! transaction tells the server what is left of it, in the message that begins it, and a statement whose caller has
//! left is cancelled.

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

/// What stands in errors for a statement that was put together at run time.
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
    /// The session's own limit of a statement.
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

    /// Lets faults strike what this pool does from now on: slow transactions, connections that leak.
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

    /// Runs one statement by itself.
    ///
    /// # Errors
    /// The statement's, or no connection within the deadlines.
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

    /// Runs one statement on behalf of a user, bound by row-level security, in one round trip once it is prepared.
    ///
    /// # Errors
    /// The statement's, or no connection within the deadlines.
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

    /// Runs one statement whose text was put together at run time, out of constants: every parameter is of type `text`
    /// and cast where the statement needs another. It isn't prepared, as its like may never come again.
    ///
    /// # Errors
    /// The statement's, or no connection within the deadlines.
    pub async fn query_text(&self, sql: &str, params: &[String]) -> Result<Vec<Row>, Error> {
        let lease = self.lease().await?;
        let answer = lease.within(sql, Query::text(sql, params).send(lease.client())).await;
        lease.settle(answer.map(|rows| Row::all(rows, TEXT)).map_err(Error::while_committing))
    }

    /// As [`query_text`](Self::query_text), on behalf of a user, bound by row-level security; in one round trip.
    ///
    /// # Errors
    /// The statement's, or no connection within the deadlines.
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

    /// Refuses further use; connections close as they come back.
    pub fn close(&self) {
        self.inner.cancels.close();
        self.inner.pool.close();
    }

    /// What begins a transaction: one message, whatever is in it. `SET LOCAL` ends with the transaction. A call without
    /// a deadline, or with more left than the session's own limit, sets no other.
    fn begin_sql(&self, user: Option<Uuid>) -> Cow<'static, str> {
        let left = Deadline::current().map(Deadline::remaining).filter(|left| *left < self.inner.limit);
        // Nought would mean no limit at all.
        let left = left.map(|left| left.as_millis().max(1));
        match (user, left) {
            (None, None) => Cow::Borrowed("BEGIN"),
            // A UUID's text can't break out of the quotes.
            (Some(user), None) => format!("BEGIN; SET LOCAL flotilla.user_id = '{user}'").into(),
            (None, Some(left)) => format!("BEGIN; SET LOCAL statement_timeout = {left}").into(),
            (Some(user), Some(left)) => {
                format!("BEGIN; SET LOCAL flotilla.user_id = '{user}'; SET LOCAL statement_timeout = {left}").into()
            }
        }
    }

    async fn begin_with(&self, begin: &str) -> Result<Tx, Error> {
        let lease = self.lease().await?;
        // Waited for, though it could be sent along with the first statement: were it to fail (a cancel that strikes
        // just then), the statements behind it would each commit by themselves.
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
    // All three are sent by the first poll, in this order. `join` and not `try_join`: when a parameter can't be
    // encoded the query fails without being sent, and the commit must follow all the same.
    let (began, rows, committed) = futures::join!(
        lease.within("begin", client.batch_execute(begin)),
        lease.within(sql, query.send(client)),
        lease.within("commit", client.batch_execute("COMMIT")),
    );
    let over = committed.is_ok();
    // The first error is the cause of the later ones; the commit was under way in each case.
    let result = began.and(rows).and_then(|rows| committed.map(|()| rows)).map_err(Error::while_committing);
    if over && result.as_ref().err().is_none_or(|error| !error.is_stale()) {
        // The server has answered the commit, so it has answered everything, and no transaction is open.
        lease.give_back();
    }
    result
}

/// A query as it is sent.
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
