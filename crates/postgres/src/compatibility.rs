//! Whether a program may serve on the schema that it finds.
//!
//! Owns the table `schema_compatibility`. A migration that older programs tolerate says so in a line of its own:
//! `-- compatible-since: V3` means that a program whose newest migration of the set is `V3` or newer may serve on the
//! schema. A program that doesn't know the migration can't read that line, so `migrate` writes it to the table. Without
//! the line older programs refuse to start.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_config::SecretString;
use refinery::{Migration, Runner};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::error::{Error, ErrorKind};
use crate::migrate::{first_missing, grant_read, versions, with_client};

/// The beginning of a declaration.
const DECLARATION: &str = "-- compatible-since:";
const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_compatibility (
    history text COLLATE \"C\" NOT NULL,
    version bigint NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (history, version))";
const RECORD: &str = "INSERT INTO schema_compatibility (history, version, since) VALUES ($1, $2, $3)
    ON CONFLICT (history, version) DO UPDATE SET since = excluded.since WHERE schema_compatibility.since <> excluded.since";
const READ: &str = "SELECT version, since FROM schema_compatibility WHERE history = $1";

/// Checks that the database has every migration of each set, and that each of its other migrations is declared compatible
/// with this program. Reads the histories as `<service>_system`.
///
/// # Errors
/// [About the schema](Error::is_unfit_schema) if it doesn't suit this program; else there is no connection, or the
/// histories can't be read.
pub async fn check_schema(system_url: &SecretString, sets: &[(&'static str, Runner)]) -> Result<(), Error> {
    with_client(system_url, "flotilla-schema", async |client| {
        if let Some(missing) = first_missing(client, sets).await? {
            return Err(Error::unfit_schema(format!(
                "the database's schema is too old for this program: {missing} is missing; run migrate first"
            )));
        }
        for (history, runner) in sets {
            check_newer(client, history, runner).await?;
        }
        Ok(())
    })
    .await
}

/// Records the declarations of all migrations, before they are applied: there is no moment at which an older program sees
/// a migration without its declaration.
pub(crate) async fn record(client: &Client, sets: &[(&'static str, Runner)]) -> Result<(), Error> {
    client.batch_execute(CREATE).await?;
    client.batch_execute(&grant_read("schema_compatibility")).await?;
    for (history, runner) in sets {
        for migration in runner.get_migrations() {
            if let Some(since) = declared(migration)? {
                client.execute(RECORD, &[history, &migration.version(), &since]).await?;
            }
        }
    }
    Ok(())
}

/// The oldest version whose programs tolerate a migration, if it declares one.
fn declared(migration: &Migration) -> Result<Option<i64>, Error> {
    let line = migration.sql().and_then(|sql| sql.lines().find_map(|line| line.strip_prefix(DECLARATION)));
    let Some(line) = line else { return Ok(None) };
    let since = line.trim().strip_prefix('V').and_then(|number| number.parse().ok());
    since.map(Some).ok_or_else(|| {
        Error::new(ErrorKind::Other, format!("{migration}: expected {DECLARATION} V<version>, not {:?}", line.trim()))
    })
}

async fn check_newer(client: &Client, history: &str, runner: &Runner) -> Result<(), Error> {
    let known: BTreeSet<i64> = runner.get_migrations().iter().map(Migration::version).collect();
    let newest = known.last().copied().unwrap_or(0);
    let applied = versions(client, history).await?;
    let mut unknown = applied.difference(&known).peekable();
    if unknown.peek().is_none() {
        return Ok(());
    }
    let declared = declarations(client, history).await?;
    match unknown.find(|version| declared.get(version).is_none_or(|since| *since > newest)) {
        None => {
            tracing::warn!(history, newest, "the database is ahead of this program, which tolerates it");
            Ok(())
        }
        Some(version) => Err(Error::unfit_schema(format!(
            "the database's schema is too new for this program: {history}/V{version} isn't declared compatible with \
             V{newest}, the program's newest"
        ))),
    }
}

async fn declarations(client: &Client, history: &str) -> Result<BTreeMap<i64, i64>, Error> {
    match client.query(READ, &[&history]).await {
        Ok(rows) => rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect(),
        // The newer schema was made by a release that declared nothing.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(sql: &str) -> Result<Option<i64>, Error> {
        declared(&Migration::unapplied("V5__five", sql).unwrap())
    }

    #[test]
    fn a_declaration_is_a_line_of_its_own() {
        assert_eq!(since("CREATE TABLE a ()").unwrap(), None);
        assert_eq!(since("-- why\n-- compatible-since: V3\nCREATE TABLE a ()").unwrap(), Some(3));
        assert_eq!(since("CREATE TABLE a () -- compatible-since: V3").unwrap(), None);
    }

    #[test]
    fn a_declaration_that_is_no_version_is_refused() {
        for wrong in ["", "3", "V", "V3, V4", "always"] {
            let error = since(&format!("-- compatible-since: {wrong}\n")).unwrap_err();
            assert!(error.to_string().contains("V5__five: expected -- compatible-since: V<version>"), "{error}");
        }
    }
}
