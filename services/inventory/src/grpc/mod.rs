//! Inventory's gRPC services: they check what comes in, ask storage, and put what goes out into words.

mod catalog;
mod convert;
mod stock;

pub use catalog::CatalogApi;
pub use stock::StockApi;

use flotilla_rpc::{Access, AccessRules};

/// Who may call what: reading the catalogue is public, all else is for operators.
#[must_use]
pub fn access() -> AccessRules {
    AccessRules::new()
        .allow("/flotilla.inventory.v1.CatalogService/GetProduct", Access::Public)
        .allow("/flotilla.inventory.v1.CatalogService/ListProducts", Access::Public)
        .allow("/flotilla.inventory.v1.CatalogService/BatchGetProducts", Access::Public)
        .allow("/flotilla.inventory.v1.CatalogService/CreateProduct", Access::Operator)
        .allow("/flotilla.inventory.v1.CatalogService/UpdateProduct", Access::Operator)
        .allow("/flotilla.inventory.v1.CatalogService/DeleteProduct", Access::Operator)
        .allow("/flotilla.inventory.v1.StockService/GetStock", Access::Operator)
        .allow("/flotilla.inventory.v1.StockService/AdjustStock", Access::Operator)
}
