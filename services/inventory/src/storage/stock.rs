//! The stock that operators read and adjust.

use flotilla_postgres::{Error as StoreError, Pool, Row, retry};
use futures::future::try_join;
use uuid::Uuid;

use super::patience;
use crate::domain::product::ProductId;
use crate::domain::stock::Level;
use crate::error::Error;

/// The stock's tables.
#[derive(Clone)]
pub struct StockStore {
    system: Pool,
}

/// A requested adjustment.
#[derive(Debug, Clone)]
pub struct Adjustment {
    /// The product.
    pub product: ProductId,
    /// The idempotency key.
    pub request_id: String,
    /// Units to add; negative to remove units.
    pub delta: i64,
    /// The reason.
    pub reason: String,
    /// The operator.
    pub by: Uuid,
}

impl StockStore {
    /// Creates the stock with this database.
    #[must_use]
    pub fn new(system: Pool) -> Self {
        Self { system }
    }

    /// The stock of a product, including one that was deleted from the catalogue.
    ///
    /// # Errors
    /// [`Error::NotFound`], or the database's error.
    pub async fn get(&self, product: &ProductId) -> Result<Level, Error> {
        let rows = self.system.query(include_str!("../../queries/get_stock.sql"), &[&product.as_str()]).await?;
        rows.first().map(read).transpose()?.ok_or_else(|| Error::NotFound(product.clone()))
    }

    /// Adjusts the stock of a product once for each request id, and returns the stock after it; a repeat returns the
    /// same.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::KeyReused`], [`Error::Adjust`], or the database's error.
    pub async fn adjust(&self, adjustment: &Adjustment) -> Result<Level, Error> {
        retry(patience(), || self.adjust_once(adjustment)).await
    }

    async fn adjust_once(&self, adjustment: &Adjustment) -> Result<Level, Error> {
        let Adjustment { product, request_id, delta, reason, by } = adjustment;
        let id = product.as_str();
        let tx = self.system.begin().await?;
        let row = tx.query_opt(include_str!("../../queries/lock_stock_of_product.sql"), &[&id]).await?;
        let Some(before) = row.as_ref().map(read).transpose()? else {
            return tx.rollback_with(Error::NotFound(product.clone())).await;
        };
        // Read after the lock: an earlier transaction with the same key has committed by now.
        let earlier = tx.query_opt(include_str!("../../queries/find_adjustment.sql"), &[&id, request_id]).await?;
        let answer = match &earlier {
            Some(row) => {
                let same = row.get::<i64>("delta")? == *delta && row.get::<&str>("reason")? == reason;
                if same {
                    Ok(Level { on_hand: row.get("on_hand_after")?, reserved: row.get("reserved_after")? })
                } else {
                    Err(Error::KeyReused(product.clone()))
                }
            }
            None => before.adjust(*delta).map_err(Error::from),
        };
        let (None, Ok(after)) = (&earlier, &answer) else {
            tx.rollback().await?;
            return answer;
        };
        let (ids, on_hand, reserved) = (vec![id], vec![after.on_hand], vec![after.reserved]);
        try_join(
            tx.execute(include_str!("../../queries/write_stock.sql"), &[&ids, &on_hand, &reserved]),
            tx.execute(
                include_str!("../../queries/insert_adjustment.sql"),
                &[&id, request_id, delta, reason, by, &after.on_hand, &after.reserved],
            ),
        )
        .await?;
        tx.commit().await?;
        answer
    }
}

fn read(row: &Row) -> Result<Level, StoreError> {
    Ok(Level { on_hand: row.get("on_hand")?, reserved: row.get("reserved")? })
}
