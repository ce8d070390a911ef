//! Subscribers of tests. `tracing` caches for the whole process whether a callsite is enabled. While there is only one
//! subscriber, the cache is rebuilt from the subscriber of the current thread, and the thread of another test has none.
//! So there is always a second subscriber here. A process has one for all its threads and doesn't need this.

use std::sync::OnceLock;

use tracing::{Dispatch, Subscriber};

static SECOND: OnceLock<Dispatch> = OnceLock::new();

/// Runs `run` under this subscriber.
pub(crate) fn under<T>(subscriber: impl Subscriber + Send + Sync + 'static, run: impl FnOnce() -> T) -> T {
    SECOND.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
    tracing::subscriber::with_default(subscriber, run)
}
