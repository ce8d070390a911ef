//! One customer's live feed, kept open through the whole upgrade. When it breaks it is resumed from its token; no
//! delivery may be missing or arrive twice. A release that doesn't know the token's form refuses it; then the feed is
//! opened without a token, and deliveries that were already received are skipped.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use flotilla_proto::notification::v1::{
    StreamDeliveriesRequest, StreamDeliveriesResponse, notification_service_client::NotificationServiceClient,
};
use flotilla_workload::client::{Api, Session};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status, Streaming};

use crate::{load::Crowd, tally::Tally};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
const KIND: &str = "feed";

/// A feed that is followed.
pub struct Feed {
    task: JoinHandle<()>,
    last: watch::Receiver<i64>,
    stop: CancellationToken,
}

impl Feed {
    /// Follows a customer's feed.
    pub fn follow(api: Api, crowd: Arc<Crowd>, tally: Tally) -> Self {
        let (told, last) = watch::channel(0);
        let stop = CancellationToken::new();
        let follower = Follower { api, tally, told, stop: stop.clone() };
        Self { task: tokio::spawn(async move { follower.run(crowd.shop.customer(0)).await }), last, stop }
    }

    /// Waits until the delivery of that sequence has come, and ends.
    pub async fn end_with(mut self, sequence: i64) {
        let came = tokio::time::timeout(PATIENCE, self.last.wait_for(|last| *last >= sequence)).await;
        let came = came.is_ok_and(|told| told.is_ok());
        assert!(came, "the feed has told {} of {sequence} deliveries", *self.last.borrow());
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

struct Follower {
    api: Api,
    tally: Tally,
    told: watch::Sender<i64>,
    stop: CancellationToken,
}

impl Follower {
    async fn run(self, session: &Session) {
        let (mut resume_token, mut lost) = (String::new(), None::<Instant>);
        while !self.stop.is_cancelled() {
            let broken = match tokio::time::timeout(PATIENCE, open(&self.api, session, &resume_token)).await {
                Ok(Ok(feed)) => self.read(feed, &mut resume_token, &mut lost).await,
                Ok(Err(status)) => {
                    if status.code() == Code::InvalidArgument {
                        resume_token.clear();
                    }
                    status
                }
                Err(late) => Status::deadline_exceeded(late.to_string()),
            };
            if self.stop.is_cancelled() {
                return;
            }
            if lost.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                self.tally.failed(KIND, broken);
                return;
            }
            self.tally.repeated(KIND);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads an open feed until it breaks, or is stopped.
    async fn read(
        &self,
        mut feed: Streaming<StreamDeliveriesResponse>,
        resume_token: &mut String,
        lost: &mut Option<Instant>,
    ) -> Status {
        // Without a token, repeats are expected.
        let mut repeats = resume_token.is_empty();
        loop {
            let said = match self.stop.run_until_cancelled(feed.message()).await {
                Some(Ok(Some(said))) => said,
                Some(Err(status)) => return status,
                Some(Ok(None)) | None => return Status::unavailable("the feed ended"),
            };
            let (last, sequence) = (*self.told.borrow(), said.delivery.as_ref().map_or(0, |one| one.sequence));
            repeats &= sequence <= last;
            if repeats {
                *resume_token = said.resume_token;
                continue;
            }
            if sequence != last + 1 {
                self.tally.failed(KIND, format!("delivery {sequence} follows {last}"));
            }
            self.tally.answered(KIND, lost.take().map_or(Duration::ZERO, |lost| lost.elapsed()));
            *resume_token = said.resume_token;
            self.told.send_replace(sequence);
        }
    }
}

async fn open(api: &Api, session: &Session, token: &str) -> Result<Streaming<StreamDeliveriesResponse>, Status> {
    let mut request = Request::new(StreamDeliveriesRequest { resume_token: token.to_owned() });
    request.metadata_mut().insert("authorization", session.authorization());
    Ok(NotificationServiceClient::new(api.channel()).stream_deliveries(request).await?.into_inner())
}
