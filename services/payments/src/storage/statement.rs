//! Account statements: an account's postings, newest first by default.

use std::time::SystemTime;

use flotilla_listing::{Page, Select};
use flotilla_money::Amount;
use flotilla_postgres::{Error, Pool, Row};
use flotilla_service::list;
use uuid::Uuid;

use super::{parse_currency, parse_kind};
use crate::domain::TransferKind;

const EXISTS: &str = include_str!("../../queries/get_account.sql");
/// The postings of a customer's account, one for each transfer.
const POSTINGS: Select = Select {
    columns: "p.transfer_id, p.amount_minor, p.currency, p.created_at, p.kind, p.order_id",
    from: "statement_lines AS p",
    given: "p.account = 'customer:' || $1::uuid::text",
};

/// One side of a transfer, as shown to its customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingView {
    /// The transfer.
    pub transfer: Uuid,
    /// The kind.
    pub kind: TransferKind,
    /// The order, if there is one.
    pub order: Option<Uuid>,
    /// The amount; negative if money left the account.
    pub amount: Amount,
    /// When it was made.
    pub created_at: SystemTime,
}

/// The account statements.
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

    /// A page of any account's postings and the next page's token; `None` if there is no such account.
    pub async fn list(&self, customer: Uuid, page: &Page) -> Result<Option<(Vec<PostingView>, String)>, Error> {
        let read = list::read(&self.system, page, &POSTINGS, &[customer.into()]).await?;
        let exists = !read.0.is_empty() || !self.system.query(EXISTS, &[&customer]).await?.is_empty();
        if exists { postings(read).map(Some) } else { Ok(None) }
    }

    /// The same for the caller's own account, under row-level security.
    pub async fn list_own(&self, customer: Uuid, page: &Page) -> Result<Option<(Vec<PostingView>, String)>, Error> {
        let read = list::read_as(&self.own, customer, page, &POSTINGS, &[customer.into()]).await?;
        let exists = !read.0.is_empty() || !self.own.query_as(customer, EXISTS, &[&customer]).await?.is_empty();
        if exists { postings(read).map(Some) } else { Ok(None) }
    }
}

fn postings((rows, next): (Vec<Row>, String)) -> Result<(Vec<PostingView>, String), Error> {
    Ok((rows.iter().map(posting).collect::<Result<_, _>>()?, next))
}

fn posting(row: &Row) -> Result<PostingView, Error> {
    Ok(PostingView {
        transfer: row.get("transfer_id")?,
        kind: parse_kind(row.get("kind")?)?,
        order: row.get("order_id")?,
        amount: Amount { minor: row.get("amount_minor")?, currency: parse_currency(row.get("currency")?)? },
        created_at: row.get("created_at")?,
    })
}
