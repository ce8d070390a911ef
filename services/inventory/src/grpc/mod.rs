//! Inventory's gRPC services: they check what the contracts can't express, call storage, and convert the results.
//! The contracts declare who may call what, and what a request must look like.

mod catalog;
mod convert;
mod imports;
mod prices;
mod stock;

pub use catalog::CatalogApi;
pub use imports::ImportApi;
pub use stock::StockApi;
