//! Reads orders: with the system role for operators and batches, with the user role under row-level security for
//! customers.

use flotilla_listing::{Page, Select};
use flotilla_money::{Amount, Currency};
use flotilla_postgres::{Error, Pool, Row, Tx};
use flotilla_service::list;
use uuid::Uuid;

use super::{sql, unreadable};
use crate::domain::{idempotency::Key, order::Order, pricing::PricedLine};

/// The pools of both roles, and which of them is used for whom.
#[derive(Clone, Debug)]
pub struct Reader {
    system: Pool,
    user: Pool,
}

/// Whose orders are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// One customer's, under row-level security.
    Own(Uuid),
    /// All orders, for operators.
    All,
}

/// The columns of a list.
const COLUMNS: &str = "o.id, o.customer_id, o.state, o.reason, o.currency, o.total_minor, o.version, o.created_at, \
    o.ended_at, o.product_ids, o.quantities, o.unit_prices";
const FROM: &str = "current_orders AS o";
const ALL: Select = Select { columns: COLUMNS, from: FROM, given: "true" };
const OF_CUSTOMER: Select = Select { columns: COLUMNS, from: FROM, given: "o.customer_id = $1::uuid" };

impl Reader {
    /// Reads orders with these pools.
    #[must_use]
    pub fn new(system: Pool, user: Pool) -> Self {
        Self { system, user }
    }

    /// An order, if there is one in the scope.
    ///
    /// # Errors
    /// The statement's error.
    pub async fn get(&self, scope: Scope, id: Uuid) -> Result<Option<Order>, Error> {
        let rows = match scope {
            Scope::Own(user) => self.user.query_as(user, sql::GET_ORDER, &[&id]).await?,
            Scope::All => self.system.query(sql::GET_ORDER, &[&id]).await?,
        };
        rows.first().map(order).transpose()
    }

    /// A page of the orders in the scope (only those of `customer`, if given) and the next page's token.
    ///
    /// # Errors
    /// The statement's error.
    pub async fn list(&self, scope: Scope, customer: Option<Uuid>, page: &Page) -> Result<(Vec<Order>, String), Error> {
        let (rows, next) = match (scope, customer) {
            (Scope::Own(user), customer) => {
                let own = [customer.unwrap_or(user).into()];
                list::read_as(&self.user, user, page, &OF_CUSTOMER, &own).await?
            }
            (Scope::All, Some(customer)) => list::read(&self.system, page, &OF_CUSTOMER, &[customer.into()]).await?,
            (Scope::All, None) => list::read(&self.system, page, &ALL, &[]).await?,
        };
        Ok((rows.iter().map(order).collect::<Result<_, _>>()?, next))
    }

    /// The order of a key, with the fingerprint of its request.
    ///
    /// # Errors
    /// The statement's error.
    pub async fn by_key(&self, key: &Key) -> Result<Option<(Order, Vec<u8>)>, Error> {
        let rows = self.system.query(sql::ORDERS_BY_KEY, &[&[key.0].as_slice(), &[key.1.as_str()].as_slice()]).await?;
        rows.first().map(|row| Ok((order(row)?, row.get("request_hash")?))).transpose()
    }

    /// The current states of orders, as texts that differ if the states do.
    ///
    /// # Errors
    /// The statement's error.
    pub async fn standings(&self, orders: &[Uuid]) -> Result<Vec<(Uuid, String)>, Error> {
        let rows = self.system.query(sql::VERSIONS, &[&orders]).await?;
        rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
    }
}

/// An order within a transaction, with the transaction's changes so far.
///
/// # Errors
/// The statement's error.
pub async fn get_within(tx: &Tx, id: Uuid) -> Result<Option<Order>, Error> {
    tx.query_opt(sql::GET_ORDER, &[&id]).await?.as_ref().map(order).transpose()
}

/// Orders by their keys within a transaction, with the fingerprints of their requests.
pub(super) async fn by_keys_within(tx: &Tx, keys: &[&Key]) -> Result<Vec<(Key, Order, Vec<u8>)>, Error> {
    if keys.is_empty() {
        return Ok(vec![]);
    }
    let customers: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
    let requests: Vec<&str> = keys.iter().map(|key| key.1.as_str()).collect();
    let rows = tx.query(sql::ORDERS_BY_KEY, &[&customers, &requests]).await?;
    rows.iter()
        .map(|row| {
            let order = order(row)?;
            Ok(((order.customer_id, row.get("request_id")?), order, row.get("request_hash")?))
        })
        .collect()
}

/// Parses the columns that all statements on orders return.
fn order(row: &Row) -> Result<Order, Error> {
    let currency: &str = row.get("currency")?;
    let products: Vec<String> = row.get("product_ids")?;
    let quantities: Vec<i64> = row.get("quantities")?;
    let prices: Vec<i64> = row.get("unit_prices")?;
    Ok(Order {
        id: row.get("id")?,
        customer_id: row.get("customer_id")?,
        state: row.get("state")?,
        reason: row.get("reason")?,
        lines: products
            .into_iter()
            .zip(quantities)
            .zip(prices)
            .map(|((product_id, quantity), unit_price_minor)| PricedLine { product_id, quantity, unit_price_minor })
            .collect(),
        total: Amount {
            minor: row.get("total_minor")?,
            currency: Currency::parse(currency).ok_or_else(|| unreadable("currency of an order"))?,
        },
        version: row.get("version")?,
        created_at: row.get("created_at")?,
        ended_at: row.get("ended_at")?,
    })
}
