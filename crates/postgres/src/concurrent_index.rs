//! Builds indexes on live tables without blocking their writers.
//!
//! `CREATE INDEX CONCURRENTLY` can't run in a transaction, and each migration is one. So a migration that has the line
//! `-- concurrently` and nothing but `CREATE INDEX IF NOT EXISTS` statements is run twice: first each statement by itself,
//! concurrently, and then as a transaction, which finds the indexes and is recorded as applied. On a database that is
//! being set up the first step is left out: nobody writes to it.

use refinery::Migration;
use tokio_postgres::Client;

use crate::error::{Error, ErrorKind};

const MARK: &str = "-- concurrently";
const CREATE: [&str; 2] = ["CREATE INDEX IF NOT EXISTS ", "CREATE UNIQUE INDEX IF NOT EXISTS "];
/// Whether an index is the rest of a build that failed.
const INVALID: &str =
    "SELECT FROM pg_index WHERE indexrelid = to_regclass(quote_ident($1)) AND NOT (indisvalid AND indisready)";

/// An index to be built.
#[derive(Debug, PartialEq, Eq)]
struct Index {
    name: String,
    statement: String,
}

/// Whether the migration's indexes are to be built concurrently.
pub(crate) fn is_marked(migration: &Migration) -> bool {
    migration.sql().is_some_and(|sql| sql.lines().any(|line| line.trim_end() == MARK))
}

/// Builds the indexes of a marked migration. The build waits for older transactions without blocking anything, so it has
/// no lock timeout; the statement's limit remains.
///
/// # Errors
/// The migration has other statements, or the server's. An unfinished index is built anew next time.
pub(crate) async fn build(client: &Client, migration: &Migration) -> Result<(), Error> {
    let before: String = client.query_one("SELECT current_setting('lock_timeout')", &[]).await?.try_get(0)?;
    client.batch_execute("SET lock_timeout = 0").await?;
    for index in indexes(migration)? {
        if client.query_opt(INVALID, &[&index.name]).await?.is_some() {
            client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index.name)).await?;
        }
        client.batch_execute(&index.statement).await?;
        tracing::info!(index = index.name, migration = %migration, "index built");
    }
    client.batch_execute(&format!("SET lock_timeout = '{before}'")).await?;
    Ok(())
}

/// The statements of a marked migration, to be run concurrently.
fn indexes(migration: &Migration) -> Result<Vec<Index>, Error> {
    let sql = migration.sql().unwrap_or_default();
    let code: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let code = code.join("\n");
    let statements = code.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    statements.map(|statement| index(migration, statement)).collect()
}

fn index(migration: &Migration, statement: &str) -> Result<Index, Error> {
    let rest = CREATE.iter().find_map(|create| Some((create, statement.strip_prefix(create)?)));
    let name = rest.and_then(|(_, rest)| rest.split_whitespace().next()).unwrap_or_default();
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let (Some((create, rest)), true) = (rest, plain && !name.is_empty()) else {
        let message =
            format!("{migration}: only CREATE INDEX IF NOT EXISTS <name> may be built concurrently: {statement}");
        return Err(Error::new(ErrorKind::Other, message));
    };
    let concurrently = create.replace("INDEX IF", "INDEX CONCURRENTLY IF");
    Ok(Index { name: name.to_owned(), statement: format!("{concurrently}{rest}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(sql: &str) -> Migration {
        Migration::unapplied("V2__indexes", sql).unwrap()
    }

    #[test]
    fn a_marked_migrations_indexes_are_built_concurrently() {
        let sql = "-- Why; and how.\n-- concurrently\nCREATE INDEX IF NOT EXISTS a_x ON a (x)\n    WHERE x > 0;\n\
            CREATE UNIQUE INDEX IF NOT EXISTS a_y ON a (y);\n";
        assert!(is_marked(&migration(sql)));
        assert!(!is_marked(&migration("CREATE INDEX a_x ON a (x) -- concurrently")));
        let found = indexes(&migration(sql)).unwrap();
        let statements: Vec<_> = found.iter().map(|index| (index.name.as_str(), index.statement.as_str())).collect();
        let first = "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_x ON a (x)\n    WHERE x > 0";
        let second = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a_y ON a (y)";
        assert_eq!(statements, [("a_x", first), ("a_y", second)]);
    }

    #[test]
    fn other_statements_are_refused() {
        for wrong in ["CREATE INDEX a_x ON a (x)", "CREATE INDEX IF NOT EXISTS ON a (x)", "DROP TABLE a"] {
            let error = indexes(&migration(wrong)).unwrap_err();
            assert!(error.to_string().contains("may be built concurrently"), "{wrong}: {error}");
        }
    }
}
