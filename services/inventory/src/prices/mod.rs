//! Live prices: the latest of every product in the memory of every replica.
//!
//! The catalogue in the database is the truth. Its events are projected by one consumer that all replicas share into the
//! key-value bucket `prices`; each replica watches the bucket and keeps a [`Board`], from which any number of readers are
//! told. What is in the bucket is derived: it is filled from the database when it is new, was lost or has lost
//! something. While the broker is away, the board tells what it knew last. Guarantees: news that come late or twice
//! never bring an older price back; a reader costs a place in the board and no queue, so one that is slow is told the
//! latest price of a product and not those that it missed.

mod board;
mod bucket_price;
mod follower;
mod slot;

pub use board::{Board, Mark, Told};
pub use bucket_price::{BucketPrice, write};
pub use follower::PriceFollower;
pub use slot::OpenBucketSlot;

/// The bucket.
pub const BUCKET: &str = "prices";
/// The most changes of products that one transaction takes.
pub const MAX_CHANGES: usize = 256;
