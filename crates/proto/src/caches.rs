//! Names of caches that several services share: one reads through it, others invalidate what they change.

/// Responses with one product, by the product's resource name. The gateway reads through it; inventory invalidates.
pub const PRODUCTS: &str = "products";
