//! A bucket that takes no values although its server answers, as nats-server leaves it after a full disk.
//!
//! It stays so until it is made anew. What it keeps is derived, so it is thrown away as soon as the server can write again;
//! whoever follows it then makes it anew and fills it.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::OpenBucket;
use crate::broker::Broker as _;
use crate::error::BrokerError;

/// For so long a bucket must have taken no value.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than a server holds in memory before it writes.
const PROBE_BYTES: usize = 256 * 1024;

/// Since when a bucket has taken no value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    created: i64,
    last: u64,
    since: Instant,
}

impl OpenBucket {
    /// A write came to nothing. Throws the bucket away if it takes none at all; returns the error of the write.
    pub(super) async fn refused(&self, error: BrokerError) -> BrokerError {
        // One writer looks into it, the others go on.
        let Ok(mut refusal) = self.bucket.refusal.try_lock() else { return error };
        let Ok(Some(info)) = self.info().await else {
            // A server that doesn't answer is away, and that is another matter.
            *refusal = None;
            return error;
        };
        let mark = super::super::state(&info).mark;
        match *refusal {
            Some(first) if (first.created, first.last) == (mark.created, mark.sequence) => {
                if first.since.elapsed() >= PATIENCE && self.replace(&error).await {
                    *refusal = None;
                }
            }
            _ => *refusal = Some(Refusal { created: mark.created, last: mark.sequence, since: Instant::now() }),
        }
        error
    }

    /// Throws the bucket away if the server can write; says whether it did.
    async fn replace(&self, error: &BrokerError) -> bool {
        let name = self.bucket.name;
        if let Err(error) = self.bucket.broker.probe(&format!("flotilla-bucket.{name}.probe"), PROBE_BYTES).await {
            warn!(bucket = name, error = %error, "the broker can't write, the bucket is left as it is");
            return false;
        }
        warn!(bucket = name, error = %error, "the bucket takes no values although the broker writes, it is thrown away");
        self.throw_away().await.is_ok()
    }
}
