//! `PriceChanged`: of no concern to orders, for `ProductChanged` brings the price too.

use flotilla_proto::inventory::v1::PriceChanged;

use super::Reader;
use crate::storage::catalogue::Product;

/// Passes the message over.
pub const READER: Reader<Option<Product>> = Reader::of::<PriceChanged>(|_| Ok(None));
