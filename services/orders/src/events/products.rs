//! The handler of the catalogue's changes: it stores them in the table, then in memory.

use std::sync::Arc;

use async_trait::async_trait;
use flotilla_messaging::{Claim, Event, Handler, HandlerError, Outcome, Registry};
use flotilla_postgres::Tx;

use crate::{
    catalogue::Catalogue,
    storage::catalogue::{Product, upsert},
};

/// Updates the copy of the catalogue.
pub struct Products {
    /// The messages that it consumes.
    pub registry: Registry<Option<Product>>,
    /// The copy in memory.
    pub catalogue: Arc<Catalogue>,
}

#[async_trait]
impl Handler<Tx> for Products {
    fn knows(&self, kind: &str) -> bool {
        self.registry.knows(kind)
    }

    /// Idempotent by the product's version.
    fn claims(&self) -> Claim {
        Claim::Frame
    }

    async fn handle(&self, tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let mut products = Vec::with_capacity(events.len());
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            match self.registry.read(event) {
                Ok(product) => {
                    products.extend(product);
                    outcomes.push(Outcome::Done(vec![]));
                }
                Err(reason) => outcomes.push(Outcome::DeadLetter(reason)),
            }
        }
        upsert(tx, &products).await?;
        // Before the commit: even if that fails, inventory's change remains true.
        self.catalogue.learn(&products);
        Ok(outcomes)
    }
}
