//! Products. Reads use the user role, which sees only the catalogue; writes append their events to the outbox in the
//! same transaction.

use std::collections::{BTreeSet, HashMap};

use flotilla_clock::Ids;
use flotilla_listing::etag;
use flotilla_listing::{Page, Select};
use flotilla_messaging::{OpenBucket, Outbox};
use flotilla_money::{Amount, Currency};
use flotilla_postgres::{Error as StoreError, ErrorKind, Pool, Row, Tx, retry_unless_unknown};

use super::{patience, price_bucket};
use crate::domain::price::PriceUpdate;
use crate::domain::product::{Details, Patch, Product, ProductId};
use crate::error::Error;
use crate::events::products;

/// The columns of a list.
const LIST: Select = Select {
    columns: "id, display_name, description, price_minor, currency, version, created_at, updated_at",
    from: "products",
    given: "deleted_at IS NULL",
};

/// The catalogue's tables.
#[derive(Clone)]
pub struct Catalogue {
    system: Pool,
    user: Pool,
    outbox: Outbox,
    ids: Ids,
}

impl Catalogue {
    /// Creates the catalogue with these pools.
    #[must_use]
    pub fn new(system: Pool, user: Pool, outbox: Outbox, ids: Ids) -> Self {
        Self { system, user, outbox, ids }
    }

    /// One product.
    ///
    /// # Errors
    /// [`Error::NotFound`], or the database's error.
    pub async fn get(&self, id: &ProductId) -> Result<Product, Error> {
        let rows = self.user.query(include_str!("../../queries/get_product.sql"), &[&id.as_str()]).await?;
        rows.first().map(read).transpose()?.ok_or_else(|| Error::NotFound(id.clone()))
    }

    /// The existing ones of these products, in the given order.
    ///
    /// # Errors
    /// The database's error.
    pub async fn get_all(&self, ids: &[ProductId]) -> Result<Vec<Product>, Error> {
        let wanted: Vec<&str> = ids.iter().map(ProductId::as_str).collect();
        let rows = self.user.query(include_str!("../../queries/batch_get_products.sql"), &[&wanted]).await?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            let product = read(row)?;
            found.insert(product.id.clone(), product);
        }
        Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
    }

    /// A page of products, and the token of the next.
    ///
    /// # Errors
    /// The database's error.
    pub async fn list(&self, page: &Page) -> Result<(Vec<Product>, String), Error> {
        let (rows, next) = flotilla_service::list::read(&self.user, page, &LIST, &[]).await?;
        let products = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok((products, next))
    }

    /// At most `limit` prices, sorted by product, after `after`; includes deleted products.
    ///
    /// # Errors
    /// The database's error.
    pub async fn prices(&self, after: &str, limit: u32) -> Result<Vec<PriceUpdate>, StoreError> {
        let limit = i64::from(limit);
        let rows = self.system.query(include_str!("../../queries/list_prices.sql"), &[&after, &limit]).await?;
        rows.iter().map(price_update).collect()
    }

    /// The current server run of the database.
    ///
    /// # Errors
    /// The database's error.
    pub async fn server_run(&self) -> Result<i64, StoreError> {
        let rows = self.system.query(include_str!("../../queries/server_run.sql"), &[]).await?;
        let row =
            rows.first().ok_or_else(|| StoreError::new(ErrorKind::Other, "the database returned no start time"))?;
        row.get("run")
    }

    /// Whether the bucket of prices has fewer revisions than were written to it.
    ///
    /// # Errors
    /// The database's error.
    pub async fn outran(&self, bucket: &OpenBucket) -> Result<bool, StoreError> {
        price_bucket::was_taken_back(&self.system, bucket).await
    }

    /// Records the highest revision written to the bucket of prices.
    ///
    /// # Errors
    /// The database's error.
    pub async fn note_written(&self, bucket: &OpenBucket, revision: u64) -> Result<(), StoreError> {
        let tx = self.system.begin().await?;
        price_bucket::note(&tx, bucket, revision).await?;
        tx.commit().await
    }

    /// Adds a product with its empty stock row.
    ///
    /// # Errors
    /// [`Error::Exists`], or the database's error.
    pub async fn create(&self, id: &ProductId, details: &Details) -> Result<Product, Error> {
        self.write(|| async {
            let tx = self.system.begin().await?;
            let price = details.price;
            let inserted = tx
                .query_opt(
                    include_str!("../../queries/insert_product.sql"),
                    &[&id.as_str(), &details.display_name, &details.description, &price.minor, &price.currency.code()],
                )
                .await?;
            let Some(row) = inserted else {
                return tx.rollback_with(Error::Exists(id.clone())).await;
            };
            let product = read(&row)?;
            self.finish(tx, &product, None, false).await?;
            Ok(product)
        })
        .await
    }

    /// Changes a product. A patch that changes nothing adds no version and publishes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`], another etag, or the database's error.
    pub async fn update(&self, id: &ProductId, tag: &str, patch: &Patch) -> Result<Product, Error> {
        self.write(|| async {
            let tx = self.system.begin().await?;
            let before = match as_known(locked(&tx, id).await?, id, tag) {
                Ok(before) => before,
                Err(refusal) => return tx.rollback_with(refusal).await,
            };
            let details = patch.apply(&before.details);
            if details == before.details {
                tx.rollback().await?;
                return Ok(before);
            }
            let row = tx
                .query_one(
                    include_str!("../../queries/update_product.sql"),
                    &[
                        &id.as_str(),
                        &details.display_name,
                        &details.description,
                        &details.price.minor,
                        &details.price.currency.code(),
                    ],
                )
                .await?;
            let product = read(&row)?;
            self.finish(tx, &product, Some(&before), false).await?;
            Ok(product)
        })
        .await
    }

    /// Deletes a product from the catalogue.
    ///
    /// # Errors
    /// [`Error::NotFound`], another etag, or the database's error.
    pub async fn delete(&self, id: &ProductId, tag: &str) -> Result<(), Error> {
        self.write(|| async {
            let tx = self.system.begin().await?;
            if let Err(refusal) = as_known(locked(&tx, id).await?, id, tag) {
                return tx.rollback_with(refusal).await;
            }
            let row = tx.query_one(include_str!("../../queries/delete_product.sql"), &[&id.as_str()]).await?;
            let product = read(&row)?;
            self.finish(tx, &product, Some(&product), true).await
        })
        .await
    }

    /// Runs a transaction and retries it where that may succeed. A commit of unknown outcome isn't retried: the retry
    /// would mistake its own product or version for another caller's.
    async fn write<T, F, Fut>(&self, op: F) -> Result<T, Error>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        retry_unless_unknown(patience(), op).await
    }

    /// Appends the events and commits.
    async fn finish(&self, tx: Tx, after: &Product, before: Option<&Product>, deleted: bool) -> Result<(), Error> {
        let events = products::changed(&self.ids, after, before, deleted);
        self.outbox.append(&tx, &events).await?;
        Ok(tx.commit().await?)
    }
}

/// Locks a product, if it exists.
async fn locked(tx: &Tx, id: &ProductId) -> Result<Option<Product>, StoreError> {
    let row = tx.query_opt(include_str!("../../queries/lock_product.sql"), &[&id.as_str()]).await?;
    row.as_ref().map(read).transpose()
}

/// The product, if it exists and matches the client's etag.
fn as_known(product: Option<Product>, id: &ProductId, tag: &str) -> Result<Product, Error> {
    let product = product.ok_or_else(|| Error::NotFound(id.clone()))?;
    etag::check(tag, product.version, etag::time(product.updated_at))?;
    Ok(product)
}

fn broken(what: &str) -> StoreError {
    StoreError::new(ErrorKind::Other, format!("a product row has a bad {what}"))
}

/// The prices of those products that the catalogue has, including deleted ones.
///
/// # Errors
/// The database's error.
pub async fn prices_of(tx: &Tx, products: &BTreeSet<ProductId>) -> Result<Vec<PriceUpdate>, StoreError> {
    let ids: Vec<&str> = products.iter().map(ProductId::as_str).collect();
    let rows = tx.query(include_str!("../../queries/prices_of_products.sql"), &[&ids]).await?;
    rows.iter().map(price_update).collect()
}

fn id(row: &Row) -> Result<ProductId, StoreError> {
    ProductId::parse(row.get("id")?).ok_or_else(|| broken("id"))
}

fn price(row: &Row) -> Result<Amount, StoreError> {
    let currency = Currency::parse(row.get("currency")?).ok_or_else(|| broken("currency"))?;
    Ok(Amount { minor: row.get("price_minor")?, currency })
}

fn price_update(row: &Row) -> Result<PriceUpdate, StoreError> {
    let (deleted, version) = (row.get("deleted")?, row.get("version")?);
    Ok(PriceUpdate { product: id(row)?, price: price(row)?, deleted, version })
}

/// Parses a product's row.
pub(super) fn read(row: &Row) -> Result<Product, StoreError> {
    Ok(Product {
        id: id(row)?,
        details: Details {
            display_name: row.get("display_name")?,
            description: row.get("description")?,
            price: price(row)?,
        },
        version: row.get("version")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
