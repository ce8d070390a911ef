//! Settings and flags from a key-value bucket that the whole fleet shares: one follower per process.
//!
//! The bucket is `flotilla_settings`. Its keys: `config.<service>.<setting>`, `config.all.<setting>` (lower
//! precedence), and `flags.<flag>`. The follower keeps a copy, reconnects by itself, and publishes changes to the
//! remote layer of the configuration and to the provider of flags. Guarantees:
//! * A service starts without the bucket, after at most `remote.start_timeout`.
//! * While the bucket is unavailable, and after it was lost, the last known values stay in force; they are written back
//!   to a bucket that lost them.
//! * Memory is bounded: by the number of keys, and the size of a value.

mod follower;
mod settings;
mod snapshot;

pub use follower::{Remote, RemoteFollower};
pub use settings::{RemoteLink, RemoteSettings};

/// The bucket.
pub const BUCKET: &str = "flotilla_settings";
/// The prefix of settings' keys.
pub const CONFIG: &str = "config.";
/// The prefix of flags' keys.
pub const FLAGS: &str = "flags.";
/// The service part of keys that apply to every service.
pub const ALL: &str = "all";
