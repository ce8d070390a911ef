//! Statements: an account's postings, newest first.

use std::time::SystemTime;

use flotilla_postgres::{Error, Pool, Row};
use flotilla_proto::money::Amount;
use uuid::Uuid;

use super::{parse_currency, parse_kind};
use crate::domain::TransferKind;

const LIST: &str = include_str!("../../queries/list_postings.sql");

/// One side of a transfer, as its customer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingView {
    /// The transfer.
    pub transfer: Uuid,
    /// What it is.
    pub kind: TransferKind,
    /// The order, where there is one.
    pub order: Option<Uuid>,
    /// How much; negative where money left.
    pub amount: Amount,
    /// When.
    pub created_at: SystemTime,
}

/// The statements.
#[derive(Clone)]
pub struct Statement {
    system: Pool,
    own: Pool,
}

impl Statement {
    /// `system` and `own` are the pools of the system and the user role.
    pub fn new(system: Pool, own: Pool) -> Self {
        Self { system, own }
    }

    /// Postings of any account before a transfer; nothing where there is no such account.
    pub async fn list(&self, customer: Uuid, before: Uuid, limit: i64) -> Result<Option<Vec<PostingView>>, Error> {
        read(&self.system.query(LIST, &[&customer, &before, &limit]).await?)
    }

    /// The same of the caller's own account, bound by row-level security.
    pub async fn list_own(&self, customer: Uuid, before: Uuid, limit: i64) -> Result<Option<Vec<PostingView>>, Error> {
        read(&self.own.query_as(customer, LIST, &[&customer, &before, &limit]).await?)
    }
}

fn read(rows: &[Row]) -> Result<Option<Vec<PostingView>>, Error> {
    if rows.is_empty() {
        return Ok(None);
    }
    rows.iter().filter_map(|row| posting(row).transpose()).collect::<Result<Vec<_>, _>>().map(Some)
}

/// Nothing for the row that only says that the account exists.
fn posting(row: &Row) -> Result<Option<PostingView>, Error> {
    let Some(transfer) = row.get::<_, Option<Uuid>>("transfer_id") else { return Ok(None) };
    Ok(Some(PostingView {
        transfer,
        kind: parse_kind(row.get("kind"))?,
        order: row.get("order_id"),
        amount: Amount { minor: row.get("amount_minor"), currency: parse_currency(row.get("currency"))? },
        created_at: row.get("created_at"),
    }))
}
