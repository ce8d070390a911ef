//! Live prices: the latest of every product in the memory of every replica.
//!
//! The catalogue in the database is the truth. Its events are projected by one consumer that all replicas share into
//! the key-value bucket `prices`; each replica follows the bucket and keeps a [`PriceLog`], from which any number of
//! readers are served. What is in the bucket is derived: it is filled from the database when it is new, was lost or has lost
//! something. While the broker is away, the log serves the last known prices. Guarantees: an update that comes late or
//! twice never brings an older price back; a reader costs a position in the log and no queue, so a slow one gets the
//! latest price of a product and not those that it missed.

mod bucket_price;
mod follower;
mod log;
mod slot;

pub use bucket_price::{BucketPrice, write};
pub use follower::PriceFollower;
pub use log::{Mark, PriceEntry, PriceLog};
pub use slot::OpenBucketSlot;

/// The bucket.
pub const BUCKET: &str = "prices";
/// The most changes of products that one transaction takes.
pub const MAX_CHANGES: usize = 256;
