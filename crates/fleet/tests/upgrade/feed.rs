//! One customer's live feed, held through everything: when it breaks it is resumed where it was, and no delivery may be
//! missing or come twice.

use std::time::{Duration, Instant};

use flotilla_fleet::client::{Api, Session};
use flotilla_proto::notification::v1::{
    StreamDeliveriesRequest, StreamDeliveriesResponse, notification_service_client::NotificationServiceClient,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, Streaming};

use crate::tally::Tally;

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
const KIND: &str = "feed";

/// Follows the feed until it is stopped; returns the last sequence.
pub async fn follow(api: Api, session: &Session, tally: Tally, stop: CancellationToken) -> i64 {
    let (mut resume_token, mut last, mut lost) = (String::new(), 0, None::<Instant>);
    while !stop.is_cancelled() {
        let mut feed = match open(&api, session, &resume_token).await {
            Ok(feed) => feed,
            Err(status) => {
                if lost.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    tally.failed(KIND, status);
                    break;
                }
                tally.repeated(KIND);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while let Some(Ok(Some(said))) = stop.run_until_cancelled(feed.message()).await {
            let sequence = said.delivery.as_ref().map_or(0, |delivery| delivery.sequence);
            if sequence != last + 1 {
                tally.failed(KIND, format!("delivery {sequence} follows {last}"));
            }
            tally.answered(KIND, lost.take().map_or(Duration::ZERO, |lost| lost.elapsed()));
            (last, resume_token) = (sequence, said.resume_token);
        }
        if !stop.is_cancelled() {
            tally.repeated(KIND);
            lost.get_or_insert_with(Instant::now);
        }
    }
    last
}

async fn open(api: &Api, session: &Session, token: &str) -> Result<Streaming<StreamDeliveriesResponse>, Status> {
    let mut request = Request::new(StreamDeliveriesRequest { resume_token: token.to_owned() });
    request.metadata_mut().insert("authorization", session.authorization());
    Ok(NotificationServiceClient::new(api.channel()).stream_deliveries(request).await?.into_inner())
}
