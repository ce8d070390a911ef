//! The open bucket, shared by its follower with those who write to it.

use std::time::Duration;

use flotilla_messaging::OpenBucket;
use tokio::sync::watch;

/// Longest wait for the bucket to be open.
const OPENING: Duration = Duration::from_secs(3);

/// Holds the bucket while it is followed. Cheap to clone.
#[derive(Clone)]
pub struct OpenBucketSlot(watch::Sender<Option<OpenBucket>>);

impl OpenBucketSlot {
    /// An empty slot.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// The follower has opened the bucket, or follows it no longer.
    pub(super) fn set(&self, open: Option<OpenBucket>) {
        self.0.send_replace(open);
    }

    /// The open bucket; waits a little for it.
    pub async fn get(&self) -> Option<OpenBucket> {
        let mut open = self.0.subscribe();
        let found = tokio::time::timeout(OPENING, open.wait_for(Option::is_some)).await.ok()?.ok()?;
        found.clone()
    }
}

impl Default for OpenBucketSlot {
    fn default() -> Self {
        Self::new()
    }
}
