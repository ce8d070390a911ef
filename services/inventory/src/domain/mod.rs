//! The rules of the catalogue and of stock: pure functions and types, without I/O and without a clock.
//!
//! Guarantees that `reserved` never exceeds `on_hand`, that an order holds all of its lines or none, and that a hold
//! ends exactly once, released or committed.

pub mod book;
pub mod import;
pub mod price;
pub mod product;
pub mod reservation;
pub mod stock;
pub mod text;

#[cfg(test)]
mod book_properties;
