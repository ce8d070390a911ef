//! The kinds of notices that users have muted.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use flotilla_postgres::{Error, ErrorKind, Pool, Row, Tx};
use uuid::Uuid;

use crate::domain::notice::Kind;

/// A user's preferences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Kinds that are not recorded.
    pub muted: Vec<Kind>,
    /// The version; 0: never set.
    pub version: i64,
    /// When they were last changed.
    pub updated_at: Option<SystemTime>,
}

/// Reads and writes preferences.
#[derive(Clone)]
pub struct PreferenceStore {
    system: Pool,
    user: Pool,
}

impl PreferenceStore {
    /// Creates the preferences with these pools.
    #[must_use]
    pub fn new(system: Pool, user: Pool) -> Self {
        Self { system, user }
    }

    /// A user's preferences, read by the user or `by_operator`.
    ///
    /// # Errors
    /// The database's error.
    pub async fn get(&self, user: Uuid, by_operator: bool) -> Result<Preferences, Error> {
        let sql = include_str!("../../queries/get_preferences.sql");
        let rows = if by_operator {
            self.system.query(sql, &[&user]).await?
        } else {
            self.user.query_as(user, sql, &[&user]).await?
        };
        rows.first().map_or_else(|| Ok(Preferences::default()), read)
    }

    /// Sets a user's muted kinds if the current version is `expected`, or unconditionally without `expected`; `None` if
    /// the version differs.
    ///
    /// # Errors
    /// The database's error.
    pub async fn put(&self, user: Uuid, muted: &[Kind], expected: Option<i64>) -> Result<Option<Preferences>, Error> {
        let kinds: Vec<&str> = muted.iter().map(|kind| kind.as_str()).collect();
        let sql = include_str!("../../queries/put_preferences.sql");
        let rows = self.user.query_as(user, sql, &[&user, &kinds, &expected]).await?;
        rows.first().map(read).transpose()
    }
}

/// The muted kinds of these customers; customers who have muted nothing are left out.
///
/// # Errors
/// The database's error.
pub async fn muted(tx: &Tx, customers: &[Uuid]) -> Result<HashMap<Uuid, HashSet<Kind>>, Error> {
    let rows = tx.query(include_str!("../../queries/muted.sql"), &[&customers]).await?;
    rows.iter().map(|row| Ok((row.get("customer_id")?, kinds(row)?.into_iter().collect()))).collect()
}

fn read(row: &Row) -> Result<Preferences, Error> {
    let (version, updated_at) = (row.get("version")?, row.get("updated_at")?);
    Ok(Preferences { muted: kinds(row)?, version, updated_at: Some(updated_at) })
}

fn kinds(row: &Row) -> Result<Vec<Kind>, Error> {
    let kinds: Vec<&str> = row.get("muted_kinds")?;
    let parse =
        |kind| Kind::parse(kind).ok_or_else(|| Error::new(ErrorKind::Other, "preferences name a bad kind".to_owned()));
    kinds.into_iter().map(parse).collect()
}
