//! Subscribers of tests. What a callsite is enabled for is kept for the whole process; while there is only one
//! subscriber, whichever thread has it worked out anew asks its own, which in a test's neighbour is none. So there is
//! always a second one here. A process has one for all its threads, and no such trouble.

use std::sync::OnceLock;

use tracing::{Dispatch, Subscriber};

static SECOND: OnceLock<Dispatch> = OnceLock::new();

/// What `run` returns under this subscriber.
pub(crate) fn under<T>(subscriber: impl Subscriber + Send + Sync + 'static, run: impl FnOnce() -> T) -> T {
    SECOND.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
    tracing::subscriber::with_default(subscriber, run)
}
