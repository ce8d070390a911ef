//! The copy of inventory's catalogue.

use flotilla_money::{Amount, Currency};
use flotilla_postgres::{Error, Pool, Row, Tx};

use super::{sql, unreadable};

/// A product at its latest known version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Product {
    /// Last part of its name.
    pub id: String,
    /// Name that people see.
    pub display_name: String,
    /// Price of one unit.
    pub price: Amount,
    /// The version; lower ones are ignored.
    pub version: i64,
    /// Whether it was deleted from the catalogue.
    pub deleted: bool,
}

/// The price of a product, from which orders are priced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Price {
    /// Price of one unit.
    pub unit: Amount,
    /// The product's version.
    pub version: i64,
    /// Whether the product was deleted from the catalogue.
    pub deleted: bool,
}

/// The columns of an upsert: the newest row of each product, sorted by id.
struct Columns<'a>(Vec<&'a Product>);

impl<'a> Columns<'a> {
    fn of(products: &'a [Product]) -> Self {
        let mut sorted: Vec<&Product> = products.iter().collect();
        sorted.sort_by(|a, b| a.id.cmp(&b.id).then(b.version.cmp(&a.version)));
        sorted.dedup_by(|a, b| a.id == b.id);
        Self(sorted)
    }

    fn pick<T>(&self, part: impl Fn(&'a Product) -> T) -> Vec<T> {
        self.0.iter().map(|product| part(product)).collect()
    }
}

/// Stores the products that are newer than the stored ones.
///
/// # Errors
/// The statement's error.
pub async fn upsert(tx: &Tx, products: &[Product]) -> Result<(), Error> {
    if products.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(products);
    tx.execute(
        sql::UPSERT_PRODUCTS,
        &[
            &columns.pick(|product| product.id.as_str()),
            &columns.pick(|product| product.display_name.as_str()),
            &columns.pick(|product| product.price.minor),
            &columns.pick(|product| product.price.currency.code()),
            &columns.pick(|product| product.version),
            &columns.pick(|product| product.deleted),
        ],
    )
    .await?;
    Ok(())
}

/// Where the next read of changes starts: a transaction id, and the server run in which it is valid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Since {
    xid: String,
    run: Option<i64>,
}

impl Since {
    /// From the beginning.
    #[must_use]
    pub fn start() -> Self {
        Self { xid: "0".into(), run: None }
    }
}

/// The result of a read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// Prices that may have changed, some of them perhaps seen before.
    pub prices: Vec<(String, Price)>,
    /// Whether they are the whole table and replace everything known before.
    pub anew: bool,
    /// Where the next read starts.
    pub next: Since,
}

/// The prices that may have changed since an earlier read. All of them if the server run changed: the database may have
/// been restored to an earlier point.
///
/// # Errors
/// The statement's error.
pub async fn changes(pool: &Pool, since: &Since) -> Result<Changes, Error> {
    let changes = look(pool, since).await?;
    if since.run.is_none() || changes.next.run == since.run {
        return Ok(changes);
    }
    Ok(Changes { anew: true, ..look(pool, &Since::start()).await? })
}

async fn look(pool: &Pool, since: &Since) -> Result<Changes, Error> {
    let rows = pool.query(sql::CHANGED_PRODUCTS, &[&since.xid]).await?;
    let now = rows.first().ok_or_else(|| unreadable("no snapshot"))?;
    let next = Since { xid: now.get(0)?, run: now.get(6)? };
    let prices = rows.iter().filter_map(|row| price(row).transpose()).collect::<Result<_, _>>()?;
    Ok(Changes { prices, anew: false, next })
}

/// Parses a row; `None` if there was no change.
fn price(row: &Row) -> Result<Option<(String, Price)>, Error> {
    let Some(id) = row.get::<Option<String>>(1)? else { return Ok(None) };
    let currency = Currency::parse(row.get(3)?).ok_or_else(|| unreadable("currency of a product"))?;
    let unit = Amount { minor: row.get(2)?, currency };
    Ok(Some((id, Price { unit, version: row.get(4)?, deleted: row.get(5)? })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_product_that_changed_twice_in_a_batch_the_newest_is_kept() {
        let product = |id: &str, version| Product {
            id: id.into(),
            display_name: String::new(),
            price: Amount { minor: version, currency: Currency::parse("USD").unwrap() },
            version,
            deleted: false,
        };
        let products = [product("b", 1), product("a", 1), product("b", 3), product("b", 2)];
        let columns = Columns::of(&products);
        assert_eq!(columns.pick(|product| (product.id.as_str(), product.version)), [("a", 1), ("b", 3)]);
    }
}
