//! The shop of a replay: the files' catalogue and customers, created in the fleet.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use flotilla_money::Amount;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    catalogue::{Catalogue, slug},
    orders::{MOST_MONEY, PastOrder, Sums},
};
use crate::client::{Api, Session};

/// Calls in flight while the catalogue is imported.
const CONCURRENCY: usize = 16;
/// Sign-ups in flight: password hashing is slow on purpose.
const SIGN_UPS: usize = 4;

/// Products and customers in the fleet, by the files' keys.
pub struct Shop {
    run: String,
    sessions: HashMap<String, Session>,
}

impl Shop {
    /// Imports products with their stock, and creates the customers that place orders.
    ///
    /// # Errors
    /// When a call is refused.
    pub async fn open(
        api: &Api,
        operator: &Session,
        catalogue: &Catalogue,
        sums: &Sums,
        balance: Option<Amount>,
    ) -> Result<Self> {
        // Milliseconds: a replay of a few orders takes less than a second, and the next one must use other ids.
        let run = (time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).to_string();
        let mut shop = Self { run, sessions: HashMap::new() };
        stream::iter(catalogue.products.iter().map(|(key, product)| {
            let id = shop.product_id(key);
            async move {
                operator.create_product(&id, &product.name, product.price.into()).await?;
                if product.stock > 0 {
                    operator.adjust_stock(&id, product.stock, &format!("stock-{id}")).await?;
                }
                Ok::<_, tonic::Status>(())
            }
        }))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await
        .context("can't import the catalogue")?;

        let currency = catalogue.currency().context("the currency USD exists")?;
        let run = &shop.run;
        let sessions = stream::iter(sums.by_customer.iter().map(|(key, minor)| async move {
            let email = format!("{}-{run}@example.com", slug(key));
            let name = catalogue.customers.get(key).map_or("", String::as_str);
            let session = api.sign_up(&email, name, &format!("replay-{run}-{key}")).await?;
            // At most the maximum of an account: orders beyond it are rejected.
            let amount = balance.unwrap_or(Amount { minor: (*minor).min(MOST_MONEY), currency });
            if amount.minor > 0 {
                operator.top_up(session.user_id(), amount.into(), &format!("balance-{}", session.user_id())).await?;
            }
            anyhow::Ok((key.clone(), session))
        }))
        .buffer_unordered(SIGN_UPS)
        .try_collect()
        .await
        .context("can't create a customer")?;
        shop.sessions = sessions;
        Ok(shop)
    }

    /// Places one order, as its customer.
    ///
    /// # Errors
    /// When it is refused, or nobody answers.
    pub async fn place(&self, order: PastOrder) -> Result<String> {
        let session = self.sessions.get(&order.customer).context("the customer was not created")?;
        let lines = order.lines.iter().map(|(key, quantity)| (self.product_id(key), *quantity)).collect();
        Ok(session.place_order(lines, &format!("replay-{}-{}", self.run, order.id)).await?.name)
    }

    /// A product's id in the fleet, unique to this run.
    #[must_use]
    pub fn product_id(&self, key: &str) -> String {
        format!("replay-{}-{}", self.run, slug(key))
    }
}
