//! Tracks the sessions that were ended early, across replicas. The cursor is a transaction id, not a time or a row,
//! because transactions commit out of order.
//!
//! Transaction ids are reused when a database is restored to an earlier point, so a cursor also identifies the server
//! run in which its ids are valid: the cluster and its server's start time. Every restore and every failover starts
//! another run, whatever else stays the same. A cursor of another run starts from the beginning: it returns all ended
//! sessions whose access tokens may still be valid.

use std::fmt;
use std::str::FromStr;

use flotilla_auth::{MAX_CLOCK_SKEW, RevocationSource, Revocations, RevocationsUnavailable, Revoked};
use flotilla_clock::Ids;
use flotilla_postgres::{Error as StoreError, ErrorKind, Pool, Row};
use uuid::Uuid;

use super::sessions::revoked;

const LIST: &str = include_str!("../../queries/list_revoked_sessions.sql");
/// Maximum number of sessions per response.
pub const PAGE: usize = 1000;

/// The position of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The server run in which the transactions are valid; `None` at the beginning, and in cursors of earlier releases.
    run: Option<Uuid>,
    /// Sessions ended by this transaction or a later one are still to be returned.
    from: u64,
    /// Set in the middle of a long list.
    amid: Option<Amid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Amid {
    /// The last returned session.
    after: (u64, Uuid),
    /// The transaction to continue from once all are returned.
    then: u64,
}

/// An invalid cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of an earlier response")]
pub struct BadCursor;

impl fmt::Display for Cursor {
    /// Between pages the run takes the place where the previous release has a session in the middle of a page. It sorts
    /// before all sessions, so a replica of that release continues from the same transaction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, from, amid } = self;
        match (amid, run) {
            (None, None) => write!(f, "{from}"),
            (None, Some(run)) => write!(f, "{from}.0.{}.{from}", run.simple()),
            (Some(Amid { after: (transaction, session), then }), run) => {
                write!(f, "{from}.{transaction}.{}.{then}", session.simple())?;
                run.map_or(Ok(()), |run| write!(f, ".{}", run.simple()))
            }
        }
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    /// Parses the output of `Display`; the empty text is the beginning.
    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let number = |part: &str| part.parse::<u64>().map_err(|_| BadCursor);
        let id = |part: &str| Uuid::try_parse(part).map_err(|_| BadCursor);
        let amid = |[transaction, session, then]: [&str; 3]| -> Result<Amid, BadCursor> {
            Ok(Amid { after: (number(transaction)?, id(session)?), then: number(then)? })
        };
        match *text.split('.').collect::<Vec<_>>().as_slice() {
            [""] => Ok(Self::default()),
            [from] => Ok(Self { run: None, from: number(from)?, amid: None }),
            [from, "0", run, then] if from == then => Ok(Self { run: Some(id(run)?), from: number(from)?, amid: None }),
            [from, transaction, session, then] => {
                Ok(Self { run: None, from: number(from)?, amid: Some(amid([transaction, session, then])?) })
            }
            [from, transaction, session, then, run] => {
                let amid = amid([transaction, session, then])?;
                Ok(Self { run: Some(id(run)?), from: number(from)?, amid: Some(amid) })
            }
            _ => Err(BadCursor),
        }
    }
}

/// The sessions that were ended early.
#[derive(Clone)]
pub struct RevokedSessions {
    system: Pool,
    ids: Ids,
}

impl RevokedSessions {
    /// Creates the store with the system role's pool.
    pub fn new(system: Pool, ids: Ids) -> Self {
        Self { system, ids }
    }

    /// The sessions ended since `cursor`, at most `PAGE`, and the cursor to continue from.
    pub async fn since(&self, cursor: Cursor) -> Result<(Vec<Revoked>, Cursor), StoreError> {
        let (ended, snapshot) = self.read(cursor).await?;
        if cursor == Cursor::default() || cursor.run == Some(snapshot.run) {
            return Ok(with_next_cursor(cursor, ended, snapshot));
        }
        // The cursor belongs to another or an unknown run: sessions ended before its transaction may be new to the
        // caller.
        let (ended, snapshot) = self.read(Cursor::default()).await?;
        Ok(with_next_cursor(Cursor::default(), ended, snapshot))
    }

    async fn read(&self, cursor: Cursor) -> Result<(Vec<EndedSession>, Snapshot), StoreError> {
        let (transaction, session) = cursor.amid.map_or((0, Uuid::nil()), |amid| amid.after);
        let (from, transaction) = (cursor.from.to_string(), transaction.to_string());
        let living = self.ids.now() - MAX_CLOCK_SKEW;
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows = self.system.query(LIST, &[&from, &transaction, &session, &living, &limit]).await?;
        let first = rows.first().ok_or_else(|| StoreError::new(ErrorKind::Other, "the snapshot has no bounds"))?;
        let snapshot = Snapshot { run: run(first)?, begin: xid(first, "xmin")? };
        let mut ended = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.get::<Option<Uuid>>("id")?.is_some() {
                ended.push((xid(row, "xid")?, revoked(row)?));
            }
        }
        Ok((ended, snapshot))
    }
}

/// A session with the transaction that ended it.
type EndedSession = (u64, Revoked);

#[derive(Clone, Copy)]
struct Snapshot {
    /// The server run.
    run: Uuid,
    /// No transaction before it is in progress.
    begin: u64,
}

fn with_next_cursor(cursor: Cursor, ended: Vec<EndedSession>, snapshot: Snapshot) -> (Vec<Revoked>, Cursor) {
    let run = Some(snapshot.run);
    let then = cursor.amid.map_or(snapshot.begin, |amid| amid.then);
    let next = match ended.last() {
        Some((transaction, last)) if ended.len() == PAGE => {
            Cursor { run, amid: Some(Amid { after: (*transaction, last.session), then }), ..cursor }
        }
        _ => Cursor { run, from: then, amid: None },
    };
    (ended.into_iter().map(|(_, revoked)| revoked).collect(), next)
}

/// Identifies a server run: the cluster and the server's start time in microseconds.
fn run(row: &Row) -> Result<Uuid, StoreError> {
    let (cluster, started): (i64, i64) = (row.get("cluster")?, row.get("started")?);
    Ok(Uuid::from_u64_pair(cluster.cast_unsigned(), started.cast_unsigned()))
}

fn xid(row: &Row, column: &str) -> Result<u64, StoreError> {
    let text: &str = row.get(column)?;
    text.parse().map_err(|_| StoreError::new(ErrorKind::Other, "a transaction id is not a number"))
}

#[tonic::async_trait]
impl RevocationSource for RevokedSessions {
    /// Identity checks its own callers with these revocations.
    async fn revoked(&self, cursor: &str) -> Result<Revocations, RevocationsUnavailable> {
        let cursor = cursor.parse().map_err(|error: BadCursor| RevocationsUnavailable::BadCursor(error.to_string()))?;
        let found = self.since(cursor).await;
        let (sessions, next) = found.map_err(|error| RevocationsUnavailable::Failed(error.to_string()))?;
        Ok(Revocations { more: sessions.len() == PAGE, sessions, cursor: next.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn ended(count: usize) -> Vec<EndedSession> {
        let until = SystemTime::UNIX_EPOCH;
        (1..=count).map(|n| (n as u64, Revoked { session: Uuid::from_u128(n as u128), until })).collect()
    }

    #[test]
    fn a_cursor_survives_its_text_and_fits_the_contract() {
        let amid = Some(Amid { after: (u64::MAX, Uuid::max()), then: u64::MAX });
        let (run, from) = (Some(Uuid::max()), u64::MAX);
        for cursor in [
            Cursor::default(),
            Cursor { run: None, from: 7, amid: None },
            Cursor { run, from, amid: None },
            Cursor { run: None, from, amid },
            Cursor { run, from, amid },
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
            assert!(cursor.to_string().len() <= 128);
        }
        assert_eq!("".parse(), Ok(Cursor::default()));
        for rubbish in ["x", "-1", "1.2", "1.2.3.4", "1.0.3.1", "1.2.00000000000000000000000000000000.4.5"] {
            assert_eq!(rubbish.parse::<Cursor>(), Err(BadCursor), "{rubbish}");
        }
    }

    #[test]
    fn a_full_answer_goes_on_where_it_broke_off_and_a_short_one_at_its_first_snapshot() {
        let run = Uuid::from_u128(9);
        let begun = Cursor { run: None, from: 3, amid: None };
        let (sessions, amid) = with_next_cursor(begun, ended(PAGE), Snapshot { run, begin: 5000 });
        assert_eq!((sessions.len(), amid.to_string().starts_with("3.1000.")), (PAGE, true));
        // Sessions committed during the response are at or after the first snapshot's start, and are returned by the
        // next request.
        let (_, done) = with_next_cursor(amid, ended(7), Snapshot { run, begin: 6000 });
        assert_eq!(done, Cursor { run: Some(run), from: 5000, amid: None });
    }
}
