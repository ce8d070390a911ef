//! The in-memory copy of inventory's catalogue, from which orders are priced.
//!
//! Loaded from the table `catalogue`, and kept up to date by this replica's own consumer and, for events that other
//! replicas consume, by a poll that reads only changes. An unknown product is looked up in inventory, once per call.
//! Its size is bounded by the catalogue itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_config::{HumanDuration, Live};
use flotilla_money::Amount;
use flotilla_postgres::{Pool, retry};
use flotilla_proto::inventory::v1::{self as inventory, catalog_service_client::CatalogServiceClient};
use flotilla_rpc::{Channel, Deadline};
use parking_lot::RwLock;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        basket::{Basket, BasketLine},
        pricing::{Priced, PricingError, price},
    },
    error::Error,
    storage::catalogue::{Changes, Price, Product, Since, changes, upsert},
};

/// Maximum time to store inventory's response in the table.
const KEEPING: Duration = Duration::from_secs(2);

/// The copy of the catalogue.
pub struct Catalogue {
    prices: RwLock<HashMap<String, Price>>,
    loaded: AtomicBool,
    pool: Pool,
    inventory: CatalogServiceClient<Channel>,
    /// Bounds the concurrent lookups in inventory.
    lookups: Semaphore,
    lookup_timeout: Duration,
}

impl Catalogue {
    /// An empty copy; [`Self::follow`] fills it.
    #[must_use]
    pub fn new(pool: Pool, inventory: Channel, lookups: usize, lookup_timeout: Duration) -> Self {
        Self {
            prices: RwLock::default(),
            loaded: AtomicBool::new(false),
            pool,
            inventory: CatalogServiceClient::new(inventory),
            lookups: Semaphore::new(lookups),
            lookup_timeout,
        }
    }

    /// Whether the table has been read.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }

    /// Stores products that are newer than the known ones.
    pub fn learn(&self, products: &[Product]) {
        let price = |product: &Product| {
            let Product { price, version, deleted, .. } = product;
            (product.id.clone(), Price { unit: *price, version: *version, deleted: *deleted })
        };
        self.take(products.iter().map(price));
    }

    /// Prices a basket; looks up unknown products in inventory once.
    ///
    /// # Errors
    /// The basket has no price, or the lookup in inventory failed.
    pub async fn price(&self, basket: &Basket) -> Result<Priced, Error> {
        match self.price_by_copy(basket) {
            Err(PricingError::UnknownProducts(lines)) => {
                if self.strangers(&lines).is_empty() {
                    return Err(PricingError::UnknownProducts(lines).into());
                }
                self.look_up(&lines).await?;
                Ok(self.price_by_copy(basket)?)
            }
            known => Ok(known?),
        }
    }

    /// Follows the table until `shutdown`.
    pub async fn follow(&self, poll: Live<HumanDuration>, shutdown: CancellationToken) {
        let mut since = Since::start();
        loop {
            match shutdown.run_until_cancelled(changes(&self.pool, &since)).await {
                None => return,
                Some(Ok(Changes { prices, anew, next })) => {
                    if anew {
                        // A full read replaces all prices: versions that a restore has undone would hide newer ones.
                        *self.prices.write() = prices.into_iter().collect();
                    } else {
                        self.take(prices.into_iter());
                    }
                    since = next;
                    self.loaded.store(true, Ordering::Relaxed);
                }
                Some(Err(error)) => tracing::warn!(error = %error, "catalogue could not be read"),
            }
            if shutdown.run_until_cancelled(poll.passed_since(Instant::now(), Duration::ZERO)).await.is_none() {
                return;
            }
        }
    }

    fn take(&self, prices: impl Iterator<Item = (String, Price)>) {
        let mut known = self.prices.write();
        for (id, price) in prices {
            let entry = known.entry(id).or_insert(price);
            if entry.version < price.version {
                *entry = price;
            }
        }
    }

    fn price_by_copy(&self, basket: &Basket) -> Result<Priced, PricingError> {
        let known = self.prices.read();
        price(basket, |id| known.get(id).filter(|price| !price.deleted).map(|price| price.unit))
    }

    /// The unknown products; deleted ones need no lookup.
    fn strangers(&self, lines: &[BasketLine]) -> Vec<String> {
        let known = self.prices.read();
        let stranger = |line: &&BasketLine| !known.contains_key(&line.product_id);
        lines.iter().filter(stranger).map(|line| format!("products/{}", line.product_id)).collect()
    }

    /// Looks up products in inventory and stores the result. Concurrent lookups of one new product share the first few
    /// calls.
    async fn look_up(&self, lines: &[BasketLine]) -> Result<(), Error> {
        let patience = Deadline::at_most(self.lookup_timeout);
        let asking = async {
            let _turn = self.lookups.acquire().await.map_err(|error| Error::Catalogue(error.to_string()))?;
            let names = self.strangers(lines);
            if names.is_empty() {
                return Ok(());
            }
            let answer = self.inventory.clone().batch_get_products(inventory::BatchGetProductsRequest { names }).await;
            let answer = answer.map_err(|status| Error::Catalogue(status.message().to_owned()))?;
            let products: Vec<Product> = answer.into_inner().products.iter().filter_map(product).collect();
            self.keep(&products).await?;
            self.learn(&products);
            Ok(())
        };
        tokio::time::timeout(patience, asking).await.map_err(|_| Error::Catalogue("no answer in time".to_owned()))?
    }

    async fn keep(&self, products: &[Product]) -> Result<(), Error> {
        if products.is_empty() {
            return Ok(());
        }
        let attempt = || async {
            let tx = self.pool.begin().await?;
            upsert(&tx, products).await?;
            tx.commit().await
        };
        Ok(retry(KEEPING, attempt).await?)
    }
}

/// Converts inventory's product; `None` if it has no valid price.
fn product(shown: &inventory::Product) -> Option<Product> {
    let id = shown.name.strip_prefix("products/")?.to_owned();
    let price = Amount::try_from(shown.price.as_ref()?).ok()?;
    let display_name = shown.display_name.clone();
    Some(Product { id, display_name, price, version: shown.version, deleted: false })
}
