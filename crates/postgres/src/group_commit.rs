//! Many callers, one transaction.
//!
//! Callers submit requests to a bounded queue; writers take what waits, never waiting for more, apply it as one batch
//! and hand each caller its own outcome. Guarantees: a full queue refuses at once; a caller who leaves while queued is
//! dropped, one whose request is already in a batch is carried through; on shutdown what is queued is still applied; a
//! batch that panics fails its own callers only.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use flotilla_config::Live;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The sizes of a group commit.
#[derive(Clone, Debug)]
pub struct GroupCommitSettings {
    /// Most requests in a batch.
    pub max_batch: Live<usize>,
    /// Most requests that wait.
    pub queue: usize,
    /// Batches applied at the same time.
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
    /// The batch that held the request broke off: whether it was applied is unknown.
    #[error("the batch broke off")]
    Failed,
}

struct Item<Req, Resp> {
    request: Req,
    reply: oneshot::Sender<Result<Resp, Refused>>,
}

/// The callers' end. Cheap to clone.
pub struct GroupCommit<Req, Resp> {
    queue: mpsc::Sender<Item<Req, Resp>>,
}

impl<Req, Resp> Clone for GroupCommit<Req, Resp> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<Req: Send + 'static, Resp: Send + 'static> GroupCommit<Req, Resp> {
    /// Makes the callers' end and the driver that must be run for anything to happen. `apply` returns one outcome for
    /// each request, in their order.
    pub fn new<F>(settings: GroupCommitSettings, apply: F) -> (Self, GroupCommitDriver)
    where
        F: Fn(Vec<Req>) -> BoxFuture<'static, Vec<Resp>> + Send + Sync + 'static,
    {
        let (queue, waiting) = mpsc::channel(settings.queue.max(1));
        let waiting = Arc::new(Mutex::new(waiting));
        let apply = Arc::new(apply);
        let driver = GroupCommitDriver {
            run: Box::new(move |shutdown| {
                async move {
                    let mut writers = JoinSet::new();
                    for _ in 0..settings.writers.max(1) {
                        let (waiting, apply) = (Arc::clone(&waiting), Arc::clone(&apply));
                        writers.spawn(write(waiting, apply, settings.max_batch.clone(), shutdown.clone()));
                    }
                    while let Some(ended) = writers.join_next().await {
                        if let Err(error) = ended {
                            tracing::error!(error = %error, "group commit writer ended");
                        }
                    }
                }
                .boxed()
            }),
        };
        (Self { queue }, driver)
    }

    /// Queues a request and waits for its outcome.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn submit(&self, request: Req) -> Result<Resp, Refused> {
        let (reply, outcome) = oneshot::channel();
        self.queue.try_send(Item { request, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::Full,
            mpsc::error::TrySendError::Closed(_) => Refused::Closed,
        })?;
        // A reply that is dropped was still in the queue: a batch answers always.
        outcome.await.unwrap_or(Err(Refused::Closed))
    }

    /// How many requests wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }
}

/// The writers' end: runs the batches.
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

type Waiting<Req, Resp> = Arc<Mutex<mpsc::Receiver<Item<Req, Resp>>>>;

async fn write<Req, Resp, F>(
    waiting: Waiting<Req, Resp>,
    apply: Arc<F>,
    max_batch: Live<usize>,
    shutdown: CancellationToken,
) where
    F: Fn(Vec<Req>) -> BoxFuture<'static, Vec<Resp>>,
{
    let mut taken = Vec::with_capacity(max_batch.get().max(1));
    loop {
        take(&waiting, &mut taken, &max_batch, &shutdown).await;
        if taken.is_empty() {
            return;
        }
        let present = taken.drain(..).filter(|item| !item.reply.is_closed());
        let (requests, replies): (Vec<_>, Vec<_>) = present.map(|item| (item.request, item.reply)).unzip();
        if requests.is_empty() {
            continue;
        }
        let replies = Replies(replies);
        let size = requests.len();
        match AssertUnwindSafe(async { apply(requests).await }).catch_unwind().await {
            Ok(outcomes) if outcomes.len() == size => replies.send(outcomes),
            Ok(outcomes) => {
                tracing::error!(requests = size, outcomes = outcomes.len(), "batch answered the wrong number");
            }
            Err(_) => tracing::error!(requests = size, "batch panicked"),
        }
    }
}

/// Takes what waits, at least one request; none when the queue is closed and empty.
async fn take<Req, Resp>(
    waiting: &Waiting<Req, Resp>,
    taken: &mut Vec<Item<Req, Resp>>,
    max_batch: &Live<usize>,
    shutdown: &CancellationToken,
) {
    let mut waiting = waiting.lock().await;
    let max_batch = max_batch.get().max(1);
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {
            waiting.close();
            waiting.recv_many(taken, max_batch).await;
        }
        _ = waiting.recv_many(taken, max_batch) => {}
    }
}

/// The callers of one batch. Whoever hasn't got an outcome when this is dropped (a panic, a wrong count, a writer that
/// was aborted) is told that the batch broke off.
struct Replies<Resp>(Vec<oneshot::Sender<Result<Resp, Refused>>>);

impl<Resp> Replies<Resp> {
    fn send(mut self, outcomes: Vec<Resp>) {
        for (reply, outcome) in self.0.drain(..).zip(outcomes) {
            // The caller may have left; its request is done all the same.
            let _ = reply.send(Ok(outcome));
        }
    }
}

impl<Resp> Drop for Replies<Resp> {
    fn drop(&mut self) {
        for reply in self.0.drain(..) {
            let _ = reply.send(Err(Refused::Failed));
        }
    }
}
