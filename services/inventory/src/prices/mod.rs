//! Live prices: every replica has the latest price of every product in memory.
//!
//! The catalogue in the database is the source of truth. A consumer shared by all replicas projects its events into the
//! key-value bucket `prices`; each replica follows the bucket and keeps a [`PriceLog`], which serves any number of
//! readers. The bucket's content is derived: it is filled from the database when the bucket is new, was lost or has
//! lost values. While the broker is unavailable, the log serves the last known prices. Guarantees: a late or duplicate
//! update never brings back an older price; a reader has a position in the log instead of a queue, so a slow reader
//! gets the latest price of a product and not those that it missed.

mod bucket_price;
mod follower;
mod log;
mod slot;

pub use bucket_price::{BucketPrice, write};
pub use follower::PriceFollower;
pub use log::{Mark, PriceEntry, PriceLog};
pub use slot::OpenBucketSlot;

/// The name of the bucket.
pub const BUCKET: &str = "prices";
/// Maximum number of product changes per transaction.
pub const MAX_CHANGES: usize = 256;
