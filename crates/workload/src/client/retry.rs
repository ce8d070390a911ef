//! Retries calls whose response may have been lost, with growing pauses.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;
use tonic::{Code, Request, Status};

/// One attempt of a call.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long a call is retried: longer than any restart takes.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A request with the deadline of one attempt.
pub fn with_deadline<Q>(message: Q) -> Request<Q> {
    let mut request = Request::new(message);
    request.set_timeout(ATTEMPT);
    request
}

/// Retries a call that may have been lost, with growing pauses.
pub async fn retry<R, F, Fut>(repeats: &AtomicU64, call: F) -> Result<R, Status>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<tonic::Response<R>, Status>>,
{
    let until = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if is_lost(&status) && Instant::now() < until => tokio::time::sleep(pause).await,
            Err(status) => return Err(status),
        }
        repeats.fetch_add(1, Ordering::Relaxed);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether the outcome of the call is unknown to the caller.
fn is_lost(status: &Status) -> bool {
    let on_purpose = |reason: &str| flotilla_rpc::reasons::ON_PURPOSE.contains(&reason);
    if flotilla_rpc::Details::of(status).reason.as_deref().is_some_and(on_purpose) {
        return false;
    }
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled | Code::Unknown
    ) || (status.code() == Code::Internal && std::error::Error::source(status).is_some())
}
