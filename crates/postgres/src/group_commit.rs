//! Group commit: many callers share one transaction.
//!
//! Callers submit requests to a bounded queue; writers take the waiting requests without waiting for more, apply them
//! as one batch and return each caller's own outcome. Guarantees: a full queue refuses at once; if a caller leaves, its
//! queued request is dropped, but one that is already in a batch is completed; on shutdown queued requests are still
//! applied; a batch that panics fails only its own callers. Each request has an owner. An owner that floods the queue
//! fills at most a quarter of the queue and of each batch, and delays the others by no more than that.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use flotilla_config::Live;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fair_queue::{FairQueue, Rejected};

/// The limits of a group commit.
#[derive(Clone, Debug)]
pub struct GroupCommitSettings {
    /// Maximum number of requests in a batch.
    pub max_batch: Live<usize>,
    /// Maximum number of waiting requests.
    pub queue: usize,
    /// Number of batches applied concurrently.
    pub writers: usize,
}

impl Default for GroupCommitSettings {
    fn default() -> Self {
        Self { max_batch: 64.into(), queue: 1_024, writers: 2 }
    }
}

/// Why a request has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue is full: nothing was done, try later.
    #[error("the queue is full")]
    Full,
    /// The writers are shutting down: nothing was done.
    #[error("the writers are shutting down")]
    Closed,
    /// The batch with the request was aborted: it is unknown whether it was applied.
    #[error("the batch was aborted")]
    Failed,
}

struct Item<Req, Resp, E> {
    request: Req,
    reply: oneshot::Sender<Result<Resp, E>>,
}

/// The callers' side. Cheap to clone. `E` is the error type of a request; [`Refused`] converts into it.
pub struct GroupCommit<Req, Resp, E = Refused> {
    queue: Arc<FairQueue<Item<Req, Resp, E>>>,
}

impl<Req, Resp, E> Clone for GroupCommit<Req, Resp, E> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue) }
    }
}

/// Closes the queue when the driver is dropped, whether or not it ran; waiting callers then get an error.
struct Closing<Req, Resp, E>(Arc<FairQueue<Item<Req, Resp, E>>>);

impl<Req, Resp, E> Drop for Closing<Req, Resp, E> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

impl<Req: Send + 'static, Resp: Send + 'static, E: From<Refused> + Send + 'static> GroupCommit<Req, Resp, E> {
    /// Creates the callers' side and the driver; nothing is applied until the driver runs. `apply` returns one outcome
    /// for each request, in their order.
    pub fn new<F>(settings: GroupCommitSettings, apply: F) -> (Self, GroupCommitDriver)
    where
        F: Fn(Vec<Req>) -> BoxFuture<'static, Vec<Result<Resp, E>>> + Send + Sync + 'static,
    {
        let queue = Arc::new(FairQueue::new(settings.queue));
        let closing = Closing(Arc::clone(&queue));
        let apply = Arc::new(apply);
        let driver = GroupCommitDriver {
            run: Box::new(move |shutdown| {
                async move {
                    let mut writers = JoinSet::new();
                    for _ in 0..settings.writers.max(1) {
                        let (queue, apply) = (Arc::clone(&closing.0), Arc::clone(&apply));
                        let writer = write(queue, apply, settings.max_batch.clone());
                        writers.spawn(flotilla_telemetry::in_current_service(writer));
                    }
                    let mut shut = std::pin::pin!(shutdown.cancelled());
                    let mut closed = false;
                    loop {
                        tokio::select! {
                            () = &mut shut, if !closed => {
                                closed = true;
                                closing.0.close();
                            }
                            ended = writers.join_next() => match ended {
                                Some(Err(error)) => tracing::error!(error = %error, "group commit writer ended"),
                                Some(Ok(())) => {}
                                None => break,
                            },
                        }
                    }
                }
                .boxed()
            }),
        };
        (Self { queue }, driver)
    }

    /// Queues a request of this owner and waits for its outcome.
    ///
    /// # Errors
    /// The outcome's, or see [`Refused`].
    pub async fn submit(&self, owner: Uuid, request: Req) -> Result<Resp, E> {
        let (reply, outcome) = oneshot::channel();
        match self.queue.push(owner.as_u128(), Item { request, reply }) {
            Ok(None) => {}
            Ok(Some(evicted)) => _ = evicted.reply.send(Err(Refused::Full.into())),
            Err(Rejected::Full(_)) => return Err(Refused::Full.into()),
            Err(Rejected::Closed(_)) => return Err(Refused::Closed.into()),
        }
        // A dropped reply means that the request was still queued: a batch always answers.
        outcome.await.unwrap_or_else(|_| Err(Refused::Closed.into()))
    }

    /// The number of waiting requests.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

/// The writers' side: runs the batches.
#[must_use = "nothing is applied unless the driver runs"]
pub struct GroupCommitDriver {
    run: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

impl GroupCommitDriver {
    /// Applies batches until `shutdown`, then what is still queued, and returns.
    pub async fn run(self, shutdown: CancellationToken) {
        (self.run)(shutdown).await;
    }
}

impl std::fmt::Debug for GroupCommitDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupCommitDriver").finish_non_exhaustive()
    }
}

async fn write<Req, Resp, E, F>(queue: Arc<FairQueue<Item<Req, Resp, E>>>, apply: Arc<F>, max_batch: Live<usize>)
where
    E: From<Refused>,
    F: Fn(Vec<Req>) -> BoxFuture<'static, Vec<Result<Resp, E>>>,
{
    loop {
        let taken = queue.take(max_batch.get()).await;
        if taken.is_empty() {
            return;
        }
        let present = taken.into_iter().filter(|item| !item.reply.is_closed());
        let (requests, replies): (Vec<_>, Vec<_>) = present.map(|item| (item.request, item.reply)).unzip();
        if requests.is_empty() {
            continue;
        }
        let replies = Replies(replies);
        let size = requests.len();
        match AssertUnwindSafe(async { apply(requests).await }).catch_unwind().await {
            Ok(outcomes) if outcomes.len() == size => replies.send(outcomes),
            Ok(outcomes) => {
                tracing::error!(requests = size, outcomes = outcomes.len(), "wrong number of outcomes");
            }
            Err(_) => tracing::error!(requests = size, "batch panicked"),
        }
    }
}

/// The callers of one batch. On drop, those without an outcome (after a panic, a wrong count or an aborted writer) get
/// the error that the batch was aborted.
struct Replies<Resp, E: From<Refused>>(Vec<oneshot::Sender<Result<Resp, E>>>);

impl<Resp, E: From<Refused>> Replies<Resp, E> {
    fn send(mut self, outcomes: Vec<Result<Resp, E>>) {
        for (reply, outcome) in self.0.drain(..).zip(outcomes) {
            // The caller may have left; its request is applied anyway.
            let _ = reply.send(outcome);
        }
    }
}

impl<Resp, E: From<Refused>> Drop for Replies<Resp, E> {
    fn drop(&mut self) {
        for reply in self.0.drain(..) {
            let _ = reply.send(Err(Refused::Failed.into()));
        }
    }
}
