//! Following the sessions that were ended early, across replicas: the cursor is a transaction id, not a time and not a
//! row, because transactions commit out of order.

use std::fmt;
use std::str::FromStr;

use flotilla_messaging::Ids;
use flotilla_postgres::{Error as StoreError, ErrorKind, Pool, Row};
use flotilla_rpc::{MAX_CLOCK_SKEW, RevocationSource, Revocations, RevocationsUnavailable, Revoked};
use uuid::Uuid;

use super::sessions::revoked;

const LIST: &str = include_str!("../../queries/list_revoked_sessions.sql");
/// Sessions of one answer.
pub const PAGE: usize = 1000;

/// Where a follower stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Sessions ended by this transaction or a later one are still to be told.
    from: u64,
    /// Amid a long answer.
    amid: Option<Amid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Amid {
    /// The last that was told.
    after: (u64, Uuid),
    /// Where to go on once all are told.
    then: u64,
}

/// Not a cursor of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of an earlier response")]
pub struct BadCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.from)?;
        if let Some(Amid { after: (transaction, session), then }) = self.amid {
            write!(f, ".{transaction}.{}.{then}", session.simple())?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    /// Reads what `Display` wrote; the empty text stands for the beginning.
    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let number = |part: &str| part.parse().map_err(|_| BadCursor);
        match text.split('.').collect::<Vec<_>>().as_slice() {
            [""] => Ok(Self::default()),
            [from] => Ok(Self { from: number(from)?, amid: None }),
            [from, transaction, session, then] => {
                let session = Uuid::try_parse(session).map_err(|_| BadCursor)?;
                let amid = Amid { after: (number(transaction)?, session), then: number(then)? };
                Ok(Self { from: number(from)?, amid: Some(amid) })
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
    /// Over the system role's pool.
    pub fn new(system: Pool, ids: Ids) -> Self {
        Self { system, ids }
    }

    /// What was ended since `cursor`, and where to go on; at most `PAGE` sessions.
    pub async fn since(&self, cursor: Cursor) -> Result<(Vec<Revoked>, Cursor), StoreError> {
        let (told, snapshot) = self.read(cursor).await?;
        // A cursor from the future is one of a database that was restored since: everything may be news.
        if cursor.from > snapshot.end {
            let (told, snapshot) = self.read(Cursor::default()).await?;
            return Ok(onward(Cursor::default(), told, snapshot));
        }
        Ok(onward(cursor, told, snapshot))
    }

    async fn read(&self, cursor: Cursor) -> Result<(Vec<Told>, Snapshot), StoreError> {
        let (transaction, session) = cursor.amid.map_or((0, Uuid::nil()), |amid| amid.after);
        let (from, transaction) = (cursor.from.to_string(), transaction.to_string());
        let living = self.ids.now() - MAX_CLOCK_SKEW;
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows = self.system.query(LIST, &[&from, &transaction, &session, &living, &limit]).await?;
        let first = rows.first().ok_or_else(|| StoreError::new(ErrorKind::Other, "the snapshot has no bounds"))?;
        let snapshot = Snapshot { begin: xid(first, "xmin")?, end: xid(first, "xmax")? };
        let told = rows.iter().filter(|row| row.get::<_, Option<Uuid>>("id").is_some());
        let told = told.map(|row| Ok((xid(row, "xid")?, revoked(row)))).collect::<Result<_, StoreError>>()?;
        Ok((told, snapshot))
    }
}

/// A session with the transaction that ended it.
type Told = (u64, Revoked);

#[derive(Clone, Copy)]
struct Snapshot {
    /// No transaction before it is under way.
    begin: u64,
    /// No transaction from it on has begun.
    end: u64,
}

fn onward(cursor: Cursor, told: Vec<Told>, snapshot: Snapshot) -> (Vec<Revoked>, Cursor) {
    let then = cursor.amid.map_or(snapshot.begin, |amid| amid.then);
    let next = match told.last() {
        Some((transaction, last)) if told.len() == PAGE => {
            Cursor { amid: Some(Amid { after: (*transaction, last.session), then }), ..cursor }
        }
        _ => Cursor { from: then, amid: None },
    };
    (told.into_iter().map(|(_, revoked)| revoked).collect(), next)
}

fn xid(row: &Row, column: &str) -> Result<u64, StoreError> {
    let text: &str = row.get(column);
    text.parse().map_err(|_| StoreError::new(ErrorKind::Other, "a transaction id is not a number"))
}

#[tonic::async_trait]
impl RevocationSource for RevokedSessions {
    /// As identity checks its own callers by them.
    async fn revoked(&self, cursor: &str) -> Result<Revocations, RevocationsUnavailable> {
        let unavailable = |error: &dyn fmt::Display| RevocationsUnavailable(error.to_string());
        let cursor = cursor.parse().map_err(|error: BadCursor| unavailable(&error))?;
        let (sessions, next) = self.since(cursor).await.map_err(|error| unavailable(&error))?;
        Ok(Revocations { more: sessions.len() == PAGE, sessions, cursor: next.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn told(count: usize) -> Vec<Told> {
        let until = SystemTime::UNIX_EPOCH;
        (1..=count).map(|n| (n as u64, Revoked { session: Uuid::from_u128(n as u128), until })).collect()
    }

    #[test]
    fn a_cursor_survives_its_text_and_fits_the_contract() {
        let amid = Amid { after: (u64::MAX, Uuid::max()), then: u64::MAX };
        for cursor in [Cursor::default(), Cursor { from: 7, amid: None }, Cursor { from: u64::MAX, amid: Some(amid) }] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
            assert!(cursor.to_string().len() <= 128);
        }
        assert_eq!("".parse(), Ok(Cursor::default()));
        for rubbish in ["x", "-1", "1.2", "1.2.3.4", "1.2.00000000000000000000000000000000.4.5"] {
            assert_eq!(rubbish.parse::<Cursor>(), Err(BadCursor), "{rubbish}");
        }
    }

    #[test]
    fn a_full_answer_goes_on_where_it_broke_off_and_a_short_one_at_its_first_snapshot() {
        let begun = Cursor { from: 3, amid: None };
        let (sessions, amid) = onward(begun, told(PAGE), Snapshot { begin: 5000, end: 5001 });
        assert_eq!((sessions.len(), amid.to_string().starts_with("3.1000.")), (PAGE, true));
        // What commits during the answer is at or after the first snapshot's begin, and comes with the next question.
        let (_, done) = onward(amid, told(7), Snapshot { begin: 6000, end: 6001 });
        assert_eq!(done, Cursor { from: 5000, amid: None });
    }
}
