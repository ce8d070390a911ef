//! Cancels statements whose callers no longer wait.
//!
//! Closing a connection doesn't stop its statement: the server keeps running it and notices only when it sends the
//! result. So when a statement is abandoned (its caller left or its deadline passed), the server is asked to cancel it
//! over a separate short-lived connection. This is best effort: if the request is lost, `statement_timeout` ends the
//! statement.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_postgres::{CancelToken, NoTls};
use tokio_util::sync::CancellationToken;

/// Maximum duration of a request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Sends cancel requests, a few at a time.
#[derive(Clone)]
pub(crate) struct Cancels {
    /// Limits the load when many callers leave at once; statements beyond the limit run until their timeout.
    places: Arc<Semaphore>,
    closed: CancellationToken,
}

impl Cancels {
    pub fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS))),
            closed: CancellationToken::new(),
        }
    }

    /// Asks the server to cancel the statement running on the connection of `token`. Returns at once; the request ends
    /// by itself within its timeout, or with the pool.
    pub fn send(&self, token: CancelToken) {
        let (Ok(place), Ok(runtime)) = (Arc::clone(&self.places).try_acquire_owned(), Handle::try_current()) else {
            return;
        };
        let closed = self.closed.clone();
        runtime.spawn(flotilla_telemetry::in_current_service(async move {
            let request = tokio::time::timeout(TIMEOUT, token.cancel_query(NoTls));
            match closed.run_until_cancelled(request).await {
                Some(Ok(Ok(()))) => tracing::debug!("statement without a caller was cancelled"),
                Some(Ok(Err(error))) => tracing::debug!(%error, "statement without a caller could not be cancelled"),
                Some(Err(_)) => tracing::debug!("the request to cancel a statement took too long"),
                None => {}
            }
            drop(place);
        }));
    }

    /// Sends no more requests, and aborts those in progress.
    pub fn close(&self) {
        self.places.close();
        self.closed.cancel();
    }
}
