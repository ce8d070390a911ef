//! `flotilla.inventory.v1.StockService`.

use flotilla_proto::inventory::v1::stock_service_server::StockService;
use flotilla_proto::inventory::v1::{AdjustStockRequest, GetStockRequest, Stock};
use flotilla_rpc::{RpcError, Violations, caller, invalid};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert;
use crate::domain::product::ProductId;
use crate::domain::stock::Level;
use crate::domain::text;
use crate::storage::{Adjustment, StockStore};

/// Stock over gRPC.
pub struct StockApi {
    store: StockStore,
}

impl StockApi {
    /// Creates the service with this store.
    #[must_use]
    pub fn new(store: StockStore) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl StockService for StockApi {
    async fn get_stock(&self, request: Request<GetStockRequest>) -> Result<Response<Stock>, Status> {
        let name = &request.get_ref().name;
        let product = name
            .strip_suffix("/stock")
            .ok_or_else(|| invalid("name", "must be products/{product}/stock"))
            .and_then(|product| convert::product_id("name", product))?;
        let level = self.store.get(&product).await?;
        Ok(Response::new(stock(&product, level)))
    }

    async fn adjust_stock(&self, request: Request<AdjustStockRequest>) -> Result<Response<Stock>, Status> {
        let by = caller(&request)?.user;
        let adjustment = adjustment(request.into_inner(), by)?;
        let level = self.store.adjust(&adjustment).await?;
        Ok(Response::new(stock(&adjustment.product, level)))
    }
}

fn adjustment(request: AdjustStockRequest, by: Uuid) -> Result<Adjustment, RpcError> {
    let AdjustStockRequest { product, delta, reason, request_id } = request;
    let mut violations = Violations::new();
    let product = violations.take(convert::product_id("product", &product));
    if let Err(fault) = text::line(&reason) {
        violations.add("reason", fault.to_string());
    }
    violations.finish()?;
    let product = product.ok_or_else(RpcError::internal)?;
    Ok(Adjustment { product, request_id, delta, reason, by })
}

fn stock(product: &ProductId, level: Level) -> Stock {
    Stock {
        name: format!("products/{product}/stock"),
        on_hand: level.on_hand,
        reserved: level.reserved,
        available: level.available(),
    }
}
