//! What is read, from which query.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;

use super::session::Session;
use crate::{DATABASES, home::state::State};

/// The queries of one database together.
const PATIENCE: Duration = Duration::from_secs(20);
/// What waits in an outbox is counted up to this, as for the relay's metric.
pub(super) const PENDING: i32 = 10_000;
const PRELOADED: &str = "SELECT name FROM pg_settings WHERE name = 'pg_stat_statements.max'";
const INSTALLED: &str = "SELECT extname FROM pg_extension WHERE extname = 'pg_stat_statements'";
const INSTALL: &str = "BEGIN READ WRITE; CREATE EXTENSION IF NOT EXISTS pg_stat_statements; COMMIT";
const COUNTED_SINCE: &str = "SELECT to_char(stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS since
    FROM pg_stat_statements_info";

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Maximum number of rows of each table.
    pub rows: i64,
    /// Number of rows from which a table that is often read in full is shown.
    pub large: i64,
    /// Age from which a transaction is shown.
    pub long: Duration,
}

/// The server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Server {
    pub version: String,
    pub up_seconds: f64,
    /// Since when scans of tables and indexes are counted.
    pub counted_since: Option<String>,
}

/// A statement, over all its calls by one role.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Statement {
    pub database: String,
    pub role: String,
    pub calls: i64,
    pub total_ms: f64,
    /// Of the time of all statements, 0 to 1.
    pub share: f64,
    pub mean_ms: f64,
    pub rows_a_call: f64,
    pub pages_a_call: f64,
    pub statement: String,
}

/// The statements.
#[derive(Debug, Serialize)]
pub(super) struct Statements {
    pub counted_since: Option<String>,
    pub worst: Vec<Statement>,
}

/// A large table that is often read in full.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ScannedTable {
    pub database: String,
    pub table: String,
    pub rows: i64,
    pub scans: i64,
    /// By all sequential scans.
    pub rows_read: i64,
    pub index_scans: i64,
    /// `None` before PostgreSQL 16.
    pub scanned_seconds_ago: Option<f64>,
}

/// An index that no scan has used.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UnusedIndex {
    pub database: String,
    pub table: String,
    pub index: String,
    pub bytes: i64,
}

/// A table with many dead rows, or more pages than its rows need.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bloat {
    pub database: String,
    pub table: String,
    pub bytes: i64,
    /// An estimate.
    pub unneeded_bytes: i64,
    pub dead_rows: i64,
    pub vacuumed_seconds_ago: Option<f64>,
}

/// A transaction that has been open for long.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Transaction {
    pub pid: i32,
    pub database: String,
    pub role: String,
    pub application: String,
    pub state: String,
    /// Whether it has written something.
    pub writes: bool,
    pub seconds: f64,
    pub waits_for: String,
    pub blocked_by: Vec<i32>,
}

/// What a service's relay hasn't published.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outbox {
    pub database: String,
    /// Rows, counted up to [`PENDING`].
    pub pending: i64,
    /// Age of the oldest.
    pub seconds: f64,
}

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub server: Server,
    /// `None` if they couldn't be read.
    pub statements: Option<Statements>,
    pub scanned_tables: Vec<ScannedTable>,
    pub unused_indexes: Vec<UnusedIndex>,
    pub bloat: Vec<Bloat>,
    pub transactions: Vec<Transaction>,
    pub outboxes: Vec<Outbox>,
    /// What couldn't be read, and why.
    pub problems: Vec<String>,
}

impl Report {
    /// Reads the running fleet's databases; `shared` is the database of the extension.
    ///
    /// # Errors
    /// Not even the server's version can be read.
    pub async fn read(state: &State, shared: &Session, limits: Limits) -> Result<Self> {
        let mut servers: Vec<Server> =
            timeout(PATIENCE, shared.rows(include_str!("queries/server.sql"), &[])).await??;
        ensure!(servers.len() == 1, "the server reports its version {} times", servers.len());
        let mut report = Self::of(servers.remove(0));
        report.within(shared.database(), async |report| report.read_shared(shared, limits).await).await;
        for name in DATABASES {
            let url = state.database_url(name);
            report
                .within(name, async |report| report.read_service(&Session::open(name, &url).await?, limits).await)
                .await;
        }
        report.cut(usize::try_from(limits.rows).unwrap_or(usize::MAX));
        Ok(report)
    }

    fn of(server: Server) -> Self {
        Self {
            server,
            statements: None,
            scanned_tables: Vec::new(),
            unused_indexes: Vec::new(),
            bloat: Vec::new(),
            transactions: Vec::new(),
            outboxes: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Reads one database; what has been read when the time is up stays.
    async fn within(&mut self, database: &str, read: impl AsyncFnOnce(&mut Self) -> Result<()>) {
        let problem = match timeout(PATIENCE, read(self)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{database}: {error:#}"),
            Err(_) => format!("{database}: not all was read within {} s", PATIENCE.as_secs()),
        };
        self.problems.push(problem);
    }

    /// What the database of the extension knows of all databases.
    async fn read_shared(&mut self, session: &Session, limits: Limits) -> Result<()> {
        let sql = include_str!("queries/transactions.sql");
        let transactions = self.rows(session, "transactions", sql, &[&limits.long.as_secs_f64(), &limits.rows]).await;
        self.transactions = transactions;
        match statements(session, limits).await {
            Ok(statements) => self.statements = Some(statements),
            Err(error) => self.problems.push(format!("statements: {error:#}")),
        }
        Ok(())
    }

    async fn read_service(&mut self, session: &Session, limits: Limits) -> Result<()> {
        let sql = include_str!("queries/outbox.sql");
        let outboxes = self.rows(session, "outbox", sql, &[&PENDING]).await;
        self.outboxes.extend(outboxes);
        let sql = include_str!("queries/scanned_tables.sql");
        let scanned = self.rows(session, "sequential scans", sql, &[&limits.rows, &limits.large]).await;
        self.scanned_tables.extend(scanned);
        let unused =
            self.rows(session, "unused indexes", include_str!("queries/unused_indexes.sql"), &[&limits.rows]).await;
        self.unused_indexes.extend(unused);
        let bloat = self.rows(session, "bloat", include_str!("queries/bloat.sql"), &[&limits.rows]).await;
        self.bloat.extend(bloat);
        Ok(())
    }

    /// The rows of a query; none, and a problem, if it fails.
    async fn rows<T: DeserializeOwned>(
        &mut self,
        session: &Session,
        what: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Vec<T> {
        session.rows(sql, parameters).await.unwrap_or_else(|error| {
            self.problems.push(format!("{}, {what}: {error:#}", session.database()));
            Vec::new()
        })
    }

    /// Leaves the worst of all databases.
    fn cut(&mut self, rows: usize) {
        self.scanned_tables.sort_by_key(|table| -table.rows_read);
        self.scanned_tables.truncate(rows);
        self.unused_indexes.sort_by_key(|index| -index.bytes);
        self.unused_indexes.truncate(rows);
        self.bloat.sort_by_key(|table| (-table.unneeded_bytes, -table.dead_rows));
        self.bloat.truncate(rows);
    }
}

/// When the counting of statements began.
#[derive(Deserialize)]
struct Since {
    since: Option<String>,
}

/// The worst statements of the services' databases. The extension is created if it is missing.
async fn statements(session: &Session, limits: Limits) -> Result<Statements> {
    let preloaded = !session.rows::<serde_json::Value>(PRELOADED, &[]).await?.is_empty();
    ensure!(preloaded, "the server doesn't count them: it needs shared_preload_libraries = 'pg_stat_statements'");
    if session.rows::<serde_json::Value>(INSTALLED, &[]).await?.is_empty() {
        session.execute(INSTALL).await?;
    }
    let counted_since = session.rows::<Since>(COUNTED_SINCE, &[]).await?.into_iter().find_map(|row| row.since);
    let databases = DATABASES.map(str::to_owned).to_vec();
    let worst = session.rows(include_str!("queries/statements.sql"), &[&databases, &limits.rows]).await?;
    Ok(Statements { counted_since, worst })
}
