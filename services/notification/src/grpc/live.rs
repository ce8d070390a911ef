//! One live feed: reads pages of deliveries up to the end, then waits for more. The next page is read only when the
//! client has taken the current one, so that a slow client costs one page of memory.

use std::collections::VecDeque;
use std::time::Duration;

use flotilla_postgres::{FAILOVER, retry};
use flotilla_proto::notification::v1::StreamDeliveriesResponse;
use futures::{Stream, TryStreamExt as _, stream};
use tokio::time::Instant;
use tonic::Status;

use super::convert;
use crate::domain::resume::Position;
use crate::error::Error;
use crate::feed::Listener;
use crate::storage::{Feeds, Recorded};

/// Pause before reading again when an announced delivery wasn't found, because the database was restored or failed over;
/// it doubles up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Pauses between reads that found nothing; none before the first read after an announcement.
#[derive(Default)]
pub(super) struct Pauses(Option<Duration>);

impl Pauses {
    pub(super) async fn next(&mut self) {
        if let Some(pause) = self.0 {
            tokio::time::sleep(pause).await;
        }
        self.0 = Some(self.0.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE)));
    }
}

/// A live feed, starting at a position.
pub struct Live {
    /// The deliveries.
    pub feeds: Feeds,
    /// Announces new ones.
    pub listener: Listener,
    /// The position after the last delivery read.
    pub position: Position,
    /// The position wasn't in the feed: it restarts from the beginning, and the next response has the flag.
    pub restarted: bool,
    /// Number of deliveries read at a time.
    pub page: u32,
    /// When the token expires.
    pub expires: Instant,
    /// When the call must end.
    pub deadline: Option<Instant>,
    /// Deliveries that were read but not sent yet.
    pub ready: VecDeque<Recorded>,
}

impl Live {
    /// The feed as a stream of responses. It ends only with an error that tells the client what to do next.
    pub fn into_stream(self) -> impl Stream<Item = Result<StreamDeliveriesResponse, Status>> + Send + 'static {
        stream::try_unfold(self, |mut live| async move {
            let recorded = live.next().await?;
            let resume_token = Position::after(recorded.sequence, recorded.id).token();
            let (delivery, restarted) = (Some(convert::delivery(recorded)), std::mem::take(&mut live.restarted));
            Ok(Some((StreamDeliveriesResponse { delivery, resume_token, restarted }, live)))
        })
        .map_err(|error: Error| error.into())
    }

    async fn next(&mut self) -> Result<Recorded, Error> {
        let (expires, deadline) = (self.expires, self.deadline);
        let overdue = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(expires) => Err(Error::TokenExpired),
            () = overdue => Err(Error::DeadlineExceeded),
            recorded = self.read() => Ok(recorded?),
        }
    }

    async fn read(&mut self) -> Result<Recorded, flotilla_postgres::Error> {
        let mut pauses = Pauses::default();
        loop {
            if let Some(recorded) = self.ready.pop_front() {
                return Ok(recorded);
            }
            let page = retry(FAILOVER, || self.feeds.after(self.listener.customer(), self.position, self.page)).await?;
            let Some(page) = page else {
                (self.position, self.restarted) = (Position::default(), true);
                continue;
            };
            if let Some(last) = page.last() {
                self.position = Position::after(last.sequence, last.id);
                self.ready = page.into();
                continue;
            }
            // Whatever the reason for the wake-up, the next read checks whether the position is still in the feed.
            self.listener.beyond(self.position.sequence).await;
            pauses.next().await;
        }
    }
}
