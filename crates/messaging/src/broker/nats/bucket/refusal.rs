//! Recovers a bucket that refuses values although its server answers, as nats-server's buckets do after a full disk.
//!
//! Such a bucket refuses values until it is recreated. Its content is derived data, so the bucket is deleted as soon as
//! the server can write again; its watchers then recreate and refill it.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::OpenBucket;
use crate::broker::Broker as _;
use crate::error::BrokerError;

/// How long a bucket must have refused values before it is deleted.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(3);
/// More than a server buffers in memory before it writes.
const PROBE_BYTES: usize = 256 * 1024;

/// Since when a bucket has refused values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    created: i64,
    last: u64,
    since: Instant,
}

impl OpenBucket {
    /// Handles a failed write: deletes the bucket if it refuses all values. Returns the error of the write.
    pub(super) async fn refused(&self, error: BrokerError) -> BrokerError {
        // One writer checks at a time; the others continue.
        let Ok(mut refusal) = self.bucket.refusal.try_lock() else { return error };
        let Ok(Some(info)) = self.info().await else {
            // A server that doesn't answer is down, which isn't a refusal.
            *refusal = None;
            return error;
        };
        let mark = super::super::state(&info).mark;
        match *refusal {
            Some(first) if (first.created, first.last) == (mark.created, mark.sequence) => {
                if first.since.elapsed() >= REFUSAL_TIMEOUT && self.replace(&error).await {
                    *refusal = None;
                }
            }
            _ => *refusal = Some(Refusal { created: mark.created, last: mark.sequence, since: Instant::now() }),
        }
        error
    }

    /// Deletes the bucket if the server can write; returns whether it did.
    async fn replace(&self, error: &BrokerError) -> bool {
        let name = self.bucket.name;
        if let Err(error) = self.bucket.broker.probe(&format!("flotilla-bucket.{name}.probe"), PROBE_BYTES).await {
            warn!(bucket = name, error = %error, "the broker can't write, keeping the bucket");
            return false;
        }
        warn!(bucket = name, error = %error, "deleting a bucket that refuses values although the broker can write");
        self.delete().await.is_ok()
    }
}
