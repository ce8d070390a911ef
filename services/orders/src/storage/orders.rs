//! Reading orders: by the system role for operators and batches, by the user role under row-level security.

use flotilla_postgres::{Error, Pool, Row, Tx};
use flotilla_proto::money::{Amount, Currency};
use uuid::Uuid;

use super::{sql, unreadable};
use crate::domain::{idempotency::Key, order::Order, pricing::PricedLine};

/// Both roles' pools, and which of them reads for whom.
#[derive(Clone, Debug)]
pub struct Reader {
    system: Pool,
    user: Pool,
}

/// Whose orders are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// One customer's, bound by row-level security.
    Own(Uuid),
    /// All: operators'.
    All,
}

/// Part of a list: newest first, below an id.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only orders of this customer.
    pub customer: Option<Uuid>,
    /// Only ids below; the greatest id at the start.
    pub below: Uuid,
    /// At most so many.
    pub limit: i64,
}

impl Reader {
    /// Reads by these pools.
    #[must_use]
    pub fn new(system: Pool, user: Pool) -> Self {
        Self { system, user }
    }

    /// An order, if there is one in the scope.
    ///
    /// # Errors
    /// The statement's.
    pub async fn get(&self, scope: Scope, id: Uuid) -> Result<Option<Order>, Error> {
        let rows = match scope {
            Scope::Own(user) => self.user.query_as(user, sql::GET_ORDER, &[&id]).await?,
            Scope::All => self.system.query(sql::GET_ORDER, &[&id]).await?,
        };
        rows.first().map(order).transpose()
    }

    /// A page of orders in the scope.
    ///
    /// # Errors
    /// The statement's.
    pub async fn list(&self, scope: Scope, page: Page) -> Result<Vec<Order>, Error> {
        let Page { customer, below, limit } = page;
        let rows = match (scope, customer) {
            (Scope::Own(user), customer) => {
                let customer = customer.unwrap_or(user);
                self.user.query_as(user, sql::LIST_ORDERS_OF_CUSTOMER, &[&below, &limit, &customer]).await?
            }
            (Scope::All, Some(customer)) => {
                self.system.query(sql::LIST_ORDERS_OF_CUSTOMER, &[&below, &limit, &customer]).await?
            }
            (Scope::All, None) => self.system.query(sql::LIST_ORDERS, &[&below, &limit]).await?,
        };
        rows.iter().map(order).collect()
    }

    /// The order that a key has become, with the fingerprint of its request.
    ///
    /// # Errors
    /// The statement's.
    pub async fn by_key(&self, key: &Key) -> Result<Option<(Order, Vec<u8>)>, Error> {
        let rows = self.system.query(sql::ORDERS_BY_KEY, &[&[key.0].as_slice(), &[key.1.as_str()].as_slice()]).await?;
        rows.first().map(|row| Ok((order(row)?, row.try_get("request_hash")?))).transpose()
    }

    /// The present versions of orders.
    ///
    /// # Errors
    /// The statement's.
    pub async fn versions(&self, orders: &[Uuid]) -> Result<Vec<(Uuid, i64)>, Error> {
        let rows = self.system.query(sql::VERSIONS, &[&orders]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
}

/// An order inside of a transaction, with its changes so far.
///
/// # Errors
/// The statement's.
pub async fn get_within(tx: &Tx, id: Uuid) -> Result<Option<Order>, Error> {
    tx.query_opt(sql::GET_ORDER, &[&id]).await?.as_ref().map(order).transpose()
}

/// Orders by their keys inside of a transaction, with the fingerprints of their requests.
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
            Ok(((order.customer_id, row.try_get("request_id")?), order, row.try_get("request_hash")?))
        })
        .collect()
}

/// Reads the columns that all statements on orders return.
fn order(row: &Row) -> Result<Order, Error> {
    let currency: &str = row.try_get("currency")?;
    let products: Vec<String> = row.try_get("product_ids")?;
    let quantities: Vec<i64> = row.try_get("quantities")?;
    let prices: Vec<i64> = row.try_get("unit_prices")?;
    Ok(Order {
        id: row.try_get("id")?,
        customer_id: row.try_get("customer_id")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        lines: products
            .into_iter()
            .zip(quantities)
            .zip(prices)
            .map(|((product_id, quantity), unit_price_minor)| PricedLine { product_id, quantity, unit_price_minor })
            .collect(),
        total: Amount {
            minor: row.try_get("total_minor")?,
            currency: Currency::parse(currency).ok_or_else(|| unreadable("currency of an order"))?,
        },
        version: row.try_get("version")?,
        created_at: row.try_get("created_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}
