//! Changes the rows of a large live table in batches, each in a short transaction of its own.
//!
//! Each migration is one transaction, and one that changes every row of a large table holds up relays and vacuum for
//! minutes. So a migration that has the line `-- in batches: <table>` and begins with an `UPDATE` of rows that still need
//! it is run twice: first this statement over one range of the table's pages after the other, and then as a transaction,
//! which finds nothing left to change, may validate a constraint, and is recorded as applied. Programs may write
//! meanwhile: triggers of an earlier migration give new and changed rows the new form.
//!
//! Owns the table `schema_backfills`: how far each backfill is. One that was interrupted goes on from there. On a database
//! that is being set up there are no batches: its tables are empty.

use std::time::Duration;

use refinery::Migration;
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::error::{Error, ErrorKind};
use crate::migrate::{PAUSE, TRIES, grant_read};

const MARK: &str = "-- in batches:";
const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_backfills (
    history text COLLATE \"C\" NOT NULL,
    version bigint NOT NULL,
    pages bigint NOT NULL,
    next_page bigint NOT NULL,
    rows_changed bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (history, version))";
const PAGES: &str =
    "SELECT pg_relation_size(to_regclass(quote_ident($1))) / current_setting('block_size')::bigint AS pages";
/// Goes on with an earlier run, if there was one.
const START: &str = "INSERT INTO schema_backfills (history, version, pages, next_page, rows_changed)
    VALUES ($1, $2, $3, 0, 0)
    ON CONFLICT (history, version) DO UPDATE SET pages = excluded.pages
    RETURNING next_page, rows_changed";
/// Pages of the first batch; later ones have twice or half as many, by the time that the last one took.
const FIRST: i64 = 16;
/// The time that a batch should take: the locks of its rows are held so long.
const BATCH: Duration = Duration::from_millis(100);
/// Maximum duration of a batch without an answer from the server.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Least time between two lines about progress.
const REPORT: Duration = Duration::from_secs(5);

/// What a marked migration changes.
#[derive(Debug, PartialEq, Eq)]
struct Backfill {
    table: String,
    /// The statement up to its condition.
    update: String,
    /// Which rows still need it.
    condition: String,
}

/// How far a backfill is.
struct Progress {
    pages: i64,
    next_page: i64,
    rows: i64,
}

/// Whether the migration's first statement is to be run in batches.
pub(crate) fn is_marked(migration: &Migration) -> bool {
    migration.sql().is_some_and(|sql| sql.lines().any(|line| line.starts_with(MARK)))
}

/// Creates the table of progress.
pub(crate) async fn create_table(client: &Client) -> Result<(), Error> {
    client.batch_execute(CREATE).await?;
    client.batch_execute(&grant_read("schema_backfills")).await?;
    Ok(())
}

/// Runs the batches of a marked migration, pausing after each as long as it took.
///
/// # Errors
/// The migration doesn't begin with a suitable statement, a batch fails, or it didn't get its rows' locks in twenty tries.
pub(crate) async fn run(client: &Client, history: &str, migration: &Migration) -> Result<(), Error> {
    let backfill = parsed(migration)?;
    let mut progress = begin(client, history, migration, &backfill).await?;
    let (mut size, mut reported) = (FIRST, Instant::now());
    while progress.next_page < progress.pages {
        let end = progress.pages.min(progress.next_page + size);
        let started = Instant::now();
        progress.rows = batch(client, history, migration, &backfill.sql(progress.next_page, end), end).await?;
        progress.next_page = end;
        let took = started.elapsed();
        size = if took > BATCH { (size / 2).max(1) } else { size * 2 };
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            progress.report(migration, "backfill");
        }
        tokio::time::sleep(took).await;
    }
    progress.report(migration, "backfill done");
    Ok(())
}

async fn begin(client: &Client, history: &str, migration: &Migration, backfill: &Backfill) -> Result<Progress, Error> {
    let pages: Option<i64> = client.query_one(PAGES, &[&backfill.table]).await?.try_get(0)?;
    let Some(pages) = pages else { return Err(unsuitable(migration, "there is no such table")) };
    let row = client.query_one(START, &[&history, &migration.version(), &pages]).await?;
    Ok(Progress { pages, next_page: row.try_get(0)?, rows: row.try_get(1)? })
}

/// Changes the rows of one range of pages, and returns how many have been changed in all. A batch that doesn't get a
/// row's lock in time, or that a deadlock ends, has changed nothing and is tried again.
async fn batch(client: &Client, history: &str, migration: &Migration, sql: &str, end: i64) -> Result<i64, Error> {
    for left in (0..TRIES).rev() {
        let version = migration.version();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&history, &version, &end];
        let answer = tokio::time::timeout(TIMEOUT, client.query_one(sql, &parameters)).await;
        let error = match answer {
            Ok(Ok(row)) => return Ok(row.try_get(0)?),
            Ok(Err(error)) => Error::from(error),
            Err(_) => return Err(Error::new(ErrorKind::Timeout, format!("{migration}: no answer to a batch"))),
        };
        let busy = [&SqlState::LOCK_NOT_AVAILABLE, &SqlState::T_R_DEADLOCK_DETECTED];
        if left == 0 || !busy.iter().any(|state| error.sql_state() == Some(state.code())) {
            return Err(error);
        }
        tracing::warn!(migration = %migration, error = %error, tries_left = left, "a batch didn't get its locks");
        tokio::time::sleep(PAUSE).await;
    }
    Err(Error::new(ErrorKind::Timeout, format!("{migration}: a batch didn't get its locks")))
}

impl Backfill {
    /// The statement for the pages from `start` to before `end`, which records its progress in the same transaction.
    fn sql(&self, start: i64, end: i64) -> String {
        let Self { update, condition, .. } = self;
        format!(
            "WITH changed AS (
                {update} WHERE ctid >= '({start},0)'::tid AND ctid < '({end},0)'::tid AND ({condition}) RETURNING 1)
            UPDATE schema_backfills
            SET next_page = $3, rows_changed = rows_changed + (SELECT count(*) FROM changed), updated_at = clock_timestamp()
            WHERE history = $1 AND version = $2
            RETURNING rows_changed"
        )
    }
}

impl Progress {
    fn report(&self, migration: &Migration, message: &'static str) {
        let Self { pages, next_page, rows } = self;
        tracing::info!(migration = %migration, pages_done = next_page, pages, rows_changed = rows, "{message}");
    }
}

/// The first statement of a marked migration: `UPDATE <table> SET …`, and `WHERE` at the start of a line.
fn parsed(migration: &Migration) -> Result<Backfill, Error> {
    let sql = migration.sql().unwrap_or_default();
    let table = sql.lines().find_map(|line| line.strip_prefix(MARK)).map(str::trim).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if table.is_empty() || !table.bytes().all(plain) {
        return Err(unsuitable(migration, "the line names no table"));
    }
    let code: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let code = code.join("\n");
    let statement = code.split(';').next().unwrap_or_default().trim();
    let Some((update, condition)) = statement.split_once("\nWHERE ") else {
        return Err(unsuitable(migration, "its first statement has no WHERE at the start of a line"));
    };
    if !update.starts_with(&format!("UPDATE {table} SET ")) {
        return Err(unsuitable(migration, "it doesn't begin with UPDATE of this table"));
    }
    Ok(Backfill { table: table.to_owned(), update: update.to_owned(), condition: condition.to_owned() })
}

fn unsuitable(migration: &Migration, why: &str) -> Error {
    Error::new(ErrorKind::Other, format!("{migration} can't be run in batches: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(sql: &str) -> Migration {
        Migration::unapplied("V2__fill", sql).unwrap()
    }

    #[test]
    fn a_batch_is_the_first_statement_on_a_range_of_pages() {
        let sql = "-- Why; and how.\n-- in batches: a\nUPDATE a SET y = x\nWHERE y IS NULL OR y < 0;\nSELECT 1;\n";
        assert!(is_marked(&migration(sql)) && !is_marked(&migration("UPDATE a SET y = x -- in batches: a")));
        let found = parsed(&migration(sql)).unwrap();
        let wanted = "UPDATE a SET y = x WHERE ctid >= '(16,0)'::tid AND ctid < '(48,0)'::tid \
            AND (y IS NULL OR y < 0) RETURNING 1";
        assert!(found.sql(16, 48).contains(wanted), "{}", found.sql(16, 48));
    }

    #[test]
    fn other_statements_are_refused() {
        for (wrong, why) in [
            ("-- in batches:\nUPDATE a SET y = x\nWHERE y IS NULL", "names no table"),
            ("-- in batches: a; b\nUPDATE a SET y = x\nWHERE y IS NULL", "names no table"),
            ("-- in batches: a\nUPDATE a SET y = x", "has no WHERE"),
            ("-- in batches: a\nUPDATE b SET y = x\nWHERE y IS NULL", "doesn't begin with UPDATE of this table"),
            ("-- in batches: a\nSELECT 1;\nUPDATE a SET y = x\nWHERE y IS NULL", "has no WHERE"),
        ] {
            let error = parsed(&migration(wrong)).unwrap_err();
            assert!(error.to_string().contains(why), "{wrong}: {error}");
        }
    }
}
