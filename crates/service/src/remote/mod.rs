//! Settings and flags from a key-value bucket that the whole fleet shares: one watcher a process.
//!
//! The bucket is `flotilla_settings`. Its keys: `config.<service>.<setting>`, `config.all.<setting>` (weaker), and
//! `flags.<flag>`. The watcher keeps a copy, comes back by itself, and tells what changes to the remote layer of the
//! configuration and to the provider of flags. Guarantees:
//! * A service starts without the bucket, after at most `remote.start_timeout`.
//! * While the bucket is away, and after it was lost, what was known last holds; a bucket that lost it is filled again.
//! * Memory is bounded: by the number of keys, and the size of a value.

mod book;
mod settings;
mod watcher;

pub use settings::{RemoteLink, RemoteSettings};
pub use watcher::{Remote, Watcher};

/// The bucket.
pub const BUCKET: &str = "flotilla_settings";
/// What keys of settings begin with.
pub const CONFIG: &str = "config.";
/// What keys of flags begin with.
pub const FLAGS: &str = "flags.";
/// The service's part of a key that stands for every service.
pub const ALL: &str = "all";
