//! Deliveries: recorded in batches with one statement, read by their owner under row-level security.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::SystemTime;

use flotilla_listing::{Page, Select};
use flotilla_postgres::{Error, ErrorKind, Pool, Row, Tx};
use flotilla_service::list;
use uuid::Uuid;

use crate::domain::batch::places;
use crate::domain::notice::{Kind, Notice};
use crate::domain::resume::Position;

/// The constraint that an event has one delivery per channel.
const ONCE: &str = "deliveries_once";

/// A notice to be recorded.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub id: Uuid,
    /// The event that caused it.
    pub event: Uuid,
    /// The notice.
    pub notice: Notice,
}

/// A stored delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub id: Uuid,
    /// The customer's sequence.
    pub sequence: i64,
    /// The notice.
    pub kind: Kind,
    /// The order, if there is one.
    pub order: Option<Uuid>,
    /// The text.
    pub text: String,
    /// When it was recorded.
    pub created_at: SystemTime,
    /// When the customer's client acknowledged it.
    pub acknowledged_at: Option<SystemTime>,
}

/// Those of the events that have deliveries already.
///
/// # Errors
/// The database's error.
pub async fn known(tx: &Tx, events: &[Uuid]) -> Result<HashSet<Uuid>, Error> {
    let rows = tx.query(include_str!("../../queries/known_events.sql"), &[&events]).await?;
    rows.iter().map(|row| row.get("event_id")).collect()
}

/// Locks the feeds of customers until the transaction ends: nobody else records deliveries there meanwhile.
///
/// # Errors
/// The database's error.
pub async fn lock_feeds(tx: &Tx, customers: &[Uuid]) -> Result<(), Error> {
    tx.execute(include_str!("../../queries/lock_feeds.sql"), &[&customers]).await.map(drop)
}

/// Records deliveries and returns the sequence of each, in the same order. The feeds must be [locked](lock_feeds), and
/// none of the events may have a delivery yet.
///
/// # Errors
/// The database's error; [`ErrorKind::Conflict`] if another transaction has recorded one of the events meanwhile.
pub async fn record(tx: &Tx, deliveries: &[Delivery]) -> Result<Vec<i64>, Error> {
    if deliveries.is_empty() {
        return Ok(Vec::new());
    }
    let customers: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.notice.customer).collect();
    let places = places(&customers);
    let owners: Vec<Uuid> = customers.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let ids: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.id).collect();
    let events: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.event).collect();
    let kinds: Vec<&str> = deliveries.iter().map(|delivery| delivery.notice.kind.as_str()).collect();
    let orders: Vec<Option<Uuid>> = deliveries.iter().map(|delivery| delivery.notice.order).collect();
    let texts: Vec<&str> = deliveries.iter().map(|delivery| delivery.notice.text.as_str()).collect();
    let rows = tx
        .query(
            include_str!("../../queries/record.sql"),
            &[&owners, &ids, &customers, &places, &events, &kinds, &orders, &texts],
        )
        .await
        .map_err(|error| match error.constraint() {
            Some(ONCE) => Error::new(ErrorKind::Conflict, "another batch recorded a delivery of the same event"),
            _ => error,
        })?;
    let mut sequences = HashMap::with_capacity(rows.len());
    for row in &rows {
        sequences.insert(row.get::<Uuid>("id")?, row.get::<i64>("sequence")?);
    }
    ids.iter().map(|id| sequences.get(id).copied().ok_or_else(|| broken("sequence"))).collect()
}

/// The columns and rows of a list of a customer's deliveries.
const DELIVERIES: Select = Select {
    columns: "d.id, d.sequence, d.kind, d.order_id, d.body, d.created_at, s.acknowledged_at",
    from: "deliveries AS d LEFT JOIN shown AS s ON s.customer_id = d.customer_id AND s.sequence = d.sequence",
    given: "d.customer_id = $1::uuid",
};

/// The last sequences of feeds.
#[derive(Debug, Clone)]
pub struct LastSequences {
    /// The server run that reported them.
    pub run: i64,
    /// Customers with the last sequences of their feeds.
    pub sequences: Vec<(Uuid, i64)>,
}

/// The deliveries that a bidirectional feed may send next.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Only after this sequence.
    pub after: i64,
    /// Only these kinds.
    pub kinds: &'a [Kind],
    /// Not these, which were already sent.
    pub open: &'a [Uuid],
}

/// Reads feeds.
#[derive(Clone)]
pub struct Feeds {
    system: Pool,
    user: Pool,
}

impl Feeds {
    /// Creates the feeds with these pools.
    #[must_use]
    pub fn new(system: Pool, user: Pool) -> Self {
        Self { system, user }
    }

    /// At most `limit` of a customer's deliveries after a position, oldest first; `None` if the feed doesn't have the
    /// position's delivery: it belongs to another feed, or a restore has undone it.
    ///
    /// # Errors
    /// The database's error.
    pub async fn after(&self, customer: Uuid, position: Position, limit: u32) -> Result<Option<Vec<Recorded>>, Error> {
        let sql = include_str!("../../queries/read_after.sql");
        // The last delivery seen is read together with those after it, so that both are from the same feed.
        let limit = i64::from(limit) + i64::from(!position.is_start());
        let rows = self.user.query_as(customer, sql, &[&customer, &position.sequence, &limit]).await?;
        let mut found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if position.is_start() {
            return Ok(Some(found));
        }
        let known = found.first().is_some_and(|first| position.is_at(first.sequence, first.id));
        Ok(known.then(|| found.split_off(1)))
    }

    /// A page of a customer's deliveries, and the next page's token.
    ///
    /// # Errors
    /// The database's error.
    pub async fn list(&self, customer: Uuid, page: &Page) -> Result<(Vec<Recorded>, String), Error> {
        let (rows, next) = list::read_as(&self.user, customer, page, &DELIVERIES, &[customer.into()]).await?;
        Ok((rows.iter().map(read).collect::<Result<_, _>>()?, next))
    }

    /// The last visible sequence of the customer's feed.
    ///
    /// # Errors
    /// The database's error.
    pub async fn last_visible(&self, customer: Uuid) -> Result<i64, Error> {
        let rows = self.user.query_as(customer, include_str!("../../queries/last_visible.sql"), &[&customer]).await?;
        Ok(rows.first().map(|row| row.get("last_sequence")).transpose()?.unwrap_or(0))
    }

    /// At most `limit` of a customer's unacknowledged deliveries after a sequence, oldest first, each with how often it
    /// was sent, including this time.
    ///
    /// # Errors
    /// The database's error.
    pub async fn show(&self, customer: Uuid, wanted: Wanted<'_>, limit: u32) -> Result<Vec<(Recorded, i32)>, Error> {
        let Wanted { after, kinds, open } = wanted;
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        let sql = include_str!("../../queries/show.sql");
        let rows = self.user.query_as(customer, sql, &[&customer, &after, &kinds, &open, &i64::from(limit)]).await?;
        rows.iter().map(|row| Ok((read(row)?, row.get("attempts")?))).collect()
    }

    /// Records that a customer's client has shown these deliveries (sequences and ids).
    ///
    /// # Errors
    /// The database's error.
    pub async fn acknowledge(&self, customer: Uuid, shown: &[(i64, Uuid)]) -> Result<(), Error> {
        let sql = include_str!("../../queries/acknowledge.sql");
        let (sequences, ids): (Vec<i64>, Vec<Uuid>) = shown.iter().copied().unzip();
        self.user.query_as(customer, sql, &[&customer, &sequences, &ids]).await.map(drop)
    }

    /// The last sequences of these customers' feeds; customers without deliveries are left out.
    ///
    /// # Errors
    /// The database's error.
    pub async fn last_sequences(&self, customers: &[Uuid]) -> Result<LastSequences, Error> {
        let rows = self.system.query(include_str!("../../queries/last_sequences.sql"), &[&customers]).await?;
        let run = rows.first().ok_or_else(|| broken("run"))?.get("run")?;
        let mut sequences = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(customer) = row.get("customer_id")? {
                sequences.push((customer, row.get("last_sequence")?));
            }
        }
        Ok(LastSequences { run, sequences })
    }
}

fn read(row: &Row) -> Result<Recorded, Error> {
    Ok(Recorded {
        id: row.get("id")?,
        sequence: row.get("sequence")?,
        kind: Kind::parse(row.get("kind")?).ok_or_else(|| broken("kind"))?,
        order: row.get("order_id")?,
        text: row.get("body")?,
        created_at: row.get("created_at")?,
        acknowledged_at: row.get("acknowledged_at")?,
    })
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Other, format!("a delivery has a bad {what}"))
}
