//! The rules of the catalogue and of stock: pure, without I/O and without a clock.
//!
//! Guarantees that reserved never exceeds on hand, that an order holds all of its lines or none, and that what is
//! held ends exactly once, as released or as committed.

pub mod book;
pub mod import;
pub mod price;
pub mod product;
pub mod reservation;
pub mod stock;
pub mod text;

#[cfg(test)]
mod book_properties;
