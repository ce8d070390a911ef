//! `flotilla.notification.v1.NotificationService`.

use std::collections::VecDeque;

use flotilla_messaging::Ids;
use flotilla_proto::notification::v1::notification_service_server::NotificationService;
use flotilla_proto::notification::v1::{
    ListDeliveriesRequest, ListDeliveriesResponse, StreamDeliveriesRequest, StreamDeliveriesResponse,
};
use flotilla_rpc::{Deadline, caller, invalid, page};
use flotilla_service::PageKey;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert;
use super::live::Live;
use crate::domain::resume;
use crate::error::Error;
use crate::feed::Hub;
use crate::storage::Feeds;

/// Deliveries in a page where the request doesn't say.
const PAGE: u32 = 50;
/// Most deliveries in a page.
const MAX_PAGE: u32 = 1_000;

/// Deliveries over gRPC.
pub struct NotificationApi {
    feeds: Feeds,
    page_key: PageKey,
    hub: Hub,
    live_page: u32,
    ids: Ids,
    draining: CancellationToken,
}

impl NotificationApi {
    /// The service over these feeds; live feeds read `live_page` deliveries at once and end when `draining` is
    /// cancelled.
    #[must_use]
    pub fn new(
        feeds: Feeds,
        page_key: PageKey,
        hub: Hub,
        live_page: u32,
        ids: Ids,
        draining: CancellationToken,
    ) -> Self {
        Self { feeds, page_key, hub, live_page, ids, draining }
    }
}

#[tonic::async_trait]
impl NotificationService for NotificationApi {
    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let user = caller(&request)?.user;
        let request = request.into_inner();
        let size = page::size(request.page_size, PAGE, MAX_PAGE)?;
        let tokens = self.page_key.tokens().await.map_err(Error::from)?;
        let query = page::fingerprint(&["ListDeliveries", &user.to_string()]);
        let before: Option<i64> = tokens.resume(&request.page_token, &query)?;
        // One more than asked tells whether there is a next page.
        let found = self.feeds.before(user, before.unwrap_or(i64::MAX), size + 1).await;
        let mut found = found.map_err(Error::from)?;
        let next_page_token = tokens.cut(&mut found, size, &query, |last| last.sequence);
        let deliveries = found.into_iter().map(convert::delivery).collect();
        Ok(Response::new(ListDeliveriesResponse { deliveries, next_page_token }))
    }

    type StreamDeliveriesStream = BoxStream<'static, Result<StreamDeliveriesResponse, Status>>;

    async fn stream_deliveries(
        &self,
        request: Request<StreamDeliveriesRequest>,
    ) -> Result<Response<Self::StreamDeliveriesStream>, Status> {
        let caller = caller(&request)?;
        let after = resume::parse(&request.get_ref().resume_token)
            .ok_or_else(|| invalid("resume_token", "is not a token of this feed"))?;
        let left = caller.expires.duration_since(self.ids.now()).unwrap_or_default();
        let live = Live {
            feeds: self.feeds.clone(),
            listener: self.hub.listen(caller.user).map_err(Error::from)?,
            after,
            page: self.live_page,
            expires: Instant::now() + left,
            deadline: request.extensions().get::<Deadline>().map(|deadline| deadline.0),
            draining: self.draining.clone(),
            ready: VecDeque::new(),
        };
        Ok(Response::new(live.into_stream().boxed()))
    }
}
