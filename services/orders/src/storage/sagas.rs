//! The sagas' rows: locks, updates, and the clocks of their steps.

use std::time::Duration;

use flotilla_postgres::{Error, Row, ToSql, Tx};
use flotilla_proto::inventory::v1::StockLine;
use uuid::Uuid;

use super::{sql, unreadable};
use crate::domain::{
    names::StoredState,
    saga::{Command, Participant, State},
};

/// A sent command, with the id that it keeps over all re-sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The command.
    pub command: Command,
    /// Its id.
    pub id: Uuid,
}

/// A locked saga, with the fields of its order that its commands contain.
#[derive(Clone, Debug)]
pub struct SagaRow {
    /// The order.
    pub order_id: Uuid,
    /// The customer.
    pub customer_id: Uuid,
    /// ISO 4217 code of the total.
    pub currency: String,
    /// The total in minor units.
    pub total_minor: i64,
    /// The state.
    pub state: State,
    /// Counts the changes of the state.
    pub version: i64,
    /// The last command to inventory.
    pub stock: Option<Sent>,
    /// The last command to payments.
    pub payment: Option<Sent>,
    /// How often the current step was sent.
    pub attempt: i32,
}

impl SagaRow {
    /// The last command to a participant.
    pub fn slot(&mut self, participant: Participant) -> &mut Option<Sent> {
        match participant {
            Participant::Inventory => &mut self.stock,
            Participant::Payments => &mut self.payment,
        }
    }
}

/// A saga to be updated.
#[derive(Debug)]
pub struct Change<'a> {
    /// The new row.
    pub row: &'a SagaRow,
    /// The highest id of the commands that begin or re-send the step in this transaction.
    pub sent_id: Option<Uuid>,
    /// Whether the order's state has changed.
    pub moved: bool,
    /// The entries to append to the journal.
    pub journal: Option<&'a [u8]>,
}

/// Makes this transaction's statements use indexes, whatever the statistics are.
///
/// # Errors
/// The statement's error.
pub async fn plan_by_index(tx: &Tx) -> Result<(), Error> {
    tx.batch_execute(sql::PLAN_BY_INDEX).await
}

/// Locks sagas in the order of the given ids, which must be sorted.
///
/// # Errors
/// The statement's error.
pub async fn lock(tx: &Tx, orders: &[Uuid]) -> Result<Vec<SagaRow>, Error> {
    if orders.is_empty() {
        return Ok(vec![]);
    }
    let params: [&(dyn ToSql + Sync); 1] = [&orders];
    let ((), rows) = futures::try_join!(plan_by_index(tx), tx.query(sql::LOCK_SAGAS, &params))?;
    rows.iter().map(saga).collect()
}

/// Locks open sagas whose step has waited long enough, skipping those that are locked.
///
/// # Errors
/// The statement's error.
pub async fn lock_due(tx: &Tx, limit: i64) -> Result<Vec<SagaRow>, Error> {
    let params: [&(dyn ToSql + Sync); 1] = [&limit];
    let ((), rows) = futures::try_join!(plan_by_index(tx), tx.query(sql::LOCK_DUE_SAGAS, &params))?;
    rows.iter().map(saga).collect()
}

/// Locks open sagas whose step has been waiting for `waiting` and has been published, with the number of times that
/// each was sent. Orders with ids from `youngest` on are left out.
///
/// # Errors
/// The statement's error.
pub async fn lock_published(tx: &Tx, youngest: Uuid, waiting: Duration, limit: i64) -> Result<Vec<(Uuid, i32)>, Error> {
    let rows = tx.query(sql::LOCK_PUBLISHED_SAGAS, &[&youngest, &waiting.as_secs_f64(), &limit]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Starts the clocks of published steps.
///
/// # Errors
/// The statement's error.
pub async fn start_clocks(tx: &Tx, waits: &[(Uuid, Duration)]) -> Result<(), Error> {
    if waits.is_empty() {
        return Ok(());
    }
    let orders: Vec<Uuid> = waits.iter().map(|(order, _)| *order).collect();
    let seconds: Vec<f64> = waits.iter().map(|(_, wait)| wait.as_secs_f64()).collect();
    tx.execute(sql::START_CLOCKS, &[&orders, &seconds]).await?;
    Ok(())
}

/// Updates the sagas with their journals, and the orders that have ended.
///
/// # Errors
/// The statements' errors.
pub async fn write(tx: &Tx, changes: &[Change<'_>]) -> Result<(), Error> {
    futures::try_join!(write_sagas(tx, changes), end_orders(tx, changes))?;
    Ok(())
}

async fn write_sagas(tx: &Tx, changes: &[Change<'_>]) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    fn pick<'a, T>(changes: &'a [Change<'_>], part: impl Fn(&'a SagaRow) -> T) -> Vec<T> {
        changes.iter().map(|change| part(change.row)).collect()
    }
    let words: Vec<StoredState<'static>> = pick(changes, |row| row.state.stored());
    let word = |part: fn(&StoredState<'static>) -> Option<&'static str>| words.iter().map(part).collect::<Vec<_>>();
    let sent: Vec<Option<Uuid>> = changes.iter().map(|change| change.sent_id).collect();
    let journals: Vec<Option<&[u8]>> = changes.iter().map(|change| change.journal).collect();
    tx.execute(
        sql::UPDATE_SAGAS,
        &[
            &pick(changes, |row| row.order_id),
            &word(|words| Some(words.state)),
            &word(|words| words.outcome),
            &word(|words| words.reason),
            &words.iter().map(|words| words.stock_done).collect::<Vec<_>>(),
            &words.iter().map(|words| words.payment_done).collect::<Vec<_>>(),
            &pick(changes, |row| row.state.is_open()),
            &pick(changes, |row| row.version),
            &pick(changes, |row| row.stock.map(|sent| sent.command.name())),
            &pick(changes, |row| row.stock.map(|sent| sent.id)),
            &pick(changes, |row| row.payment.map(|sent| sent.command.name())),
            &pick(changes, |row| row.payment.map(|sent| sent.id)),
            &pick(changes, |row| row.attempt),
            &sent,
            &journals,
        ],
    )
    .await?;
    Ok(())
}

async fn end_orders(tx: &Tx, changes: &[Change<'_>]) -> Result<(), Error> {
    let has_ended = |change: &&Change<'_>| change.moved && !change.row.state.is_open();
    let ended: Vec<&SagaRow> = changes.iter().filter(has_ended).map(|change| change.row).collect();
    if ended.is_empty() {
        return Ok(());
    }
    tx.execute(
        sql::END_ORDERS,
        &[
            &ended.iter().map(|row| row.order_id).collect::<Vec<_>>(),
            &ended.iter().map(|row| row.state.name()).collect::<Vec<_>>(),
            &ended.iter().map(|row| row.state.end_reason()).collect::<Vec<_>>(),
            &ended.iter().map(|row| row.version).collect::<Vec<_>>(),
        ],
    )
    .await?;
    Ok(())
}

/// The lines of orders in inventory's format, with the ids of the orders.
///
/// # Errors
/// The statement's error.
pub async fn stock_lines(tx: &Tx, orders: &[Uuid]) -> Result<Vec<(Uuid, StockLine)>, Error> {
    if orders.is_empty() {
        return Ok(vec![]);
    }
    let rows = tx.query(sql::LINES_OF_ORDERS, &[&orders]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, StockLine { product_id: row.get(1)?, quantity: row.get(2)? }))).collect()
}

/// How many open sagas were sent more often than `attempts`.
///
/// # Errors
/// The statement's error.
pub async fn stuck(tx: &Tx, attempts: i32) -> Result<i64, Error> {
    tx.query_one(sql::STUCK_SAGAS, &[&attempts]).await?.get(0)
}

fn saga(row: &Row) -> Result<SagaRow, Error> {
    let words = StoredState {
        state: row.get("state")?,
        outcome: row.get("outcome")?,
        reason: row.get("reason")?,
        stock_done: row.get("stock_done")?,
        payment_done: row.get("payment_done")?,
    };
    Ok(SagaRow {
        order_id: row.get("order_id")?,
        customer_id: row.get("customer_id")?,
        currency: row.get("currency")?,
        total_minor: row.get("total_minor")?,
        state: State::from_stored(words).ok_or_else(|| unreadable("state of a saga"))?,
        version: row.get("version")?,
        stock: sent(row.get("stock_command")?, row.get("stock_command_id")?)?,
        payment: sent(row.get("payment_command")?, row.get("payment_command_id")?)?,
        attempt: row.get("attempt")?,
    })
}

fn sent(command: Option<&str>, id: Option<Uuid>) -> Result<Option<Sent>, Error> {
    let (Some(command), Some(id)) = (command, id) else { return Ok(None) };
    let command = Command::parse(command).ok_or_else(|| unreadable("command of a saga"))?;
    Ok(Some(Sent { command, id }))
}
