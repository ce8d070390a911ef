//! The rules of orders: what may be ordered, what it costs, and how an order ends.
//!
//! Pure: no I/O, no clock and no randomness of its own. The whole saga can be read in [`saga`].

pub mod backoff;
pub mod basket;
pub mod idempotency;
pub mod names;
pub mod order;
pub mod pricing;
pub mod saga;

#[cfg(test)]
mod saga_model;
