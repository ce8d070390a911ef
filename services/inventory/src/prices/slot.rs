//! The open bucket, shared by its follower and its writers.

use std::time::Duration;

use flotilla_messaging::OpenBucket;
use tokio::sync::watch;

/// Maximum wait for the bucket to be open.
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

    /// Called when the follower has opened the bucket, or no longer follows it.
    pub(super) fn set(&self, open: Option<OpenBucket>) {
        self.0.send_replace(open);
    }

    /// The open bucket; waits briefly for it.
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
