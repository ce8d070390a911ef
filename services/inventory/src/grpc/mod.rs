//! Inventory's gRPC services: they check what the contracts can't say, ask storage, and put what goes out into words.
//! Who may call what, and what a request must look like, is said by the contracts.

mod catalog;
mod convert;
mod imports;
mod prices;
mod stock;

pub use catalog::CatalogApi;
pub use imports::ImportApi;
pub use stock::StockApi;
