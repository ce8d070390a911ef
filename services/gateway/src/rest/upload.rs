//! Uploads: each line of the body becomes a message of the client's stream, as the service takes them in.
//!
//! A line is read when the service is ready for another, so a slow service slows the client down and nothing piles up
//! here. An invalid line aborts the stream with an error, so that the service doesn't mistake it for the end. An upload
//! may last as long as it makes progress; without any for the longest time that a request may take, it is aborted.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_wire::prefixed;
use futures::stream::unfold;
use http_body::{Body, Frame};
use http_body_util::StreamBody;
use hyper::body::Incoming;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::lines::Lines;
use super::request::{self, Headers, Input};
use crate::edge::Edge;
use crate::problem::Problem;
use crate::routes::Path;

/// The headers that stand for fields, kept for as long as the upload lasts.
#[derive(Debug, Default)]
pub struct UploadHeaders {
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// `If-Match`.
    pub if_match: Option<String>,
    /// `Last-Event-ID`.
    pub last_event_id: Option<String>,
}

/// What every message of an upload is made from.
pub struct Source {
    edge: Arc<Edge>,
    binding: usize,
    segments: Vec<Cow<'static, str>>,
    query: String,
    headers: UploadHeaders,
    lines: Lines<Incoming>,
    moved: watch::Sender<Instant>,
    fault: Option<oneshot::Sender<Problem>>,
}

/// What the caller watches while the service reads.
pub struct Watch {
    /// When the last line was taken.
    moved: watch::Receiver<Instant>,
    /// Why the upload can't go on.
    fault: oneshot::Receiver<Problem>,
}

impl Source {
    /// An upload to a binding of the edge.
    pub fn new(
        edge: &Arc<Edge>,
        binding: usize,
        path: &Path<'_>,
        query: &str,
        headers: UploadHeaders,
        lines: Lines<Incoming>,
    ) -> (Self, Watch) {
        let (moved, watched) = watch::channel(Instant::now());
        let (fault, failed) = oneshot::channel();
        let segments = path.segments.iter().map(|segment| Cow::Owned(segment.clone().into_owned())).collect();
        let (edge, query, fault) = (Arc::clone(edge), query.to_owned(), Some(fault));
        (Self { edge, binding, segments, query, headers, lines, moved, fault }, Watch { moved: watched, fault: failed })
    }

    /// The messages as a gRPC body; after a fault an error, which aborts the stream: a body that just ended would look
    /// to the service like a complete upload.
    pub fn into_body(self) -> impl Body<Data = Bytes, Error = Status> + Unpin + Send + 'static {
        let frames = unfold(self, |mut source| async move {
            match source.next().await {
                Ok(message) => message.map(|message| (Ok(Frame::data(prefixed(0, &message))), source)),
                // There is no receiver if the call was cancelled.
                Err(problem) => source.fault.take().map(|fault| {
                    let _ = fault.send(problem);
                    (Err(Status::aborted("the upload was aborted")), source)
                }),
            }
        });
        StreamBody::new(Box::pin(frames))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let line = self.lines.next().await?;
        self.moved.send_replace(Instant::now());
        let Some(line) = line else { return Ok(None) };
        let headers = Headers {
            idempotency_key: self.headers.idempotency_key.as_deref(),
            if_match: self.headers.if_match.as_deref(),
            last_event_id: self.headers.last_event_id.as_deref(),
            event_stream: false,
        };
        let input = Input { segments: &self.segments, query: &self.query, headers, body: Some(line.as_str()) };
        let routes = &self.edge.routes;
        let message = request::message(routes.schema(), routes.binding(self.binding), input);
        message.map(Some).map_err(|refusal| Problem::from(refusal).at_line(self.lines.number()))
    }
}

impl Watch {
    /// Waits until the upload can't go on: a line is wrong, or nothing has moved for `idle_timeout`.
    pub async fn broken(self, idle_timeout: Duration) -> Problem {
        let Self { mut moved, fault } = self;
        let stalled = async {
            // Ends when nothing moves: each round waits for progress or for the idle timeout.
            loop {
                let until = *moved.borrow_and_update() + idle_timeout;
                sleep_until(until).await;
                if !moved.has_changed().unwrap_or(false) {
                    return Problem::too_slow();
                }
            }
        };
        tokio::select! {
            Ok(problem) = fault => problem,
            problem = stalled => problem,
        }
    }
}
